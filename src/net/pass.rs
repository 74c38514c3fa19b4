//! Descriptors on their way to another process: `SCM_RIGHTS` of unix(7).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use super::incoming::len;

/// Descriptors sent with one byte; the kernel takes 253 at most.
const TOGETHER: usize = 64;
/// Room for their control message: a header and the numbers.
const ROOM: usize = 16 + TOGETHER * size_of::<RawFd>();

/// A control message, aligned as the kernel reads it.
#[repr(C, align(8))]
struct Control([u8; ROOM]);

/// Sends duplicates of `descriptors`, which stay ours as well.
pub fn send_descriptors(to: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    descriptors.chunks(TOGETHER).try_for_each(|some| send_some(to, some))
}

fn send_some(to: &UnixStream, some: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = size_of_val(some);
    let mut control = Control([0; ROOM]);
    let (mut byte, mut slice, mut header) = ([0], empty_slice(), empty_header());
    point(&mut header, &mut slice, &mut byte, &mut control);
    // SAFETY: CMSG_SPACE and CMSG_LEN compute with a length, no pointers.
    let (space, len) = unsafe { (libc::CMSG_SPACE(bytes as u32), libc::CMSG_LEN(bytes as u32)) };
    header.msg_controllen = space as _;
    // SAFETY: `control` has room for the header and TOGETHER descriptors, of which `some` are at most so many; the kernel's
    // macros place both within it, and what is written there is plain data.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = len as _;
        let places = libc::CMSG_DATA(message).cast::<RawFd>();
        for (nth, descriptor) in some.iter().enumerate() {
            places.add(nth).write_unaligned(descriptor.as_raw_fd());
        }
    }
    // SAFETY: the header points at `byte` and `control`, which outlive the call.
    let sent = unsafe { libc::sendmsg(to.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
    match sent {
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes `count` descriptors that the other end sends now.
pub fn receive_descriptors(from: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let before = taken.len();
        receive_some(from, &mut taken)?;
        if taken.len() == before {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors are missing"));
        }
    }
    if taken.len() > count {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more descriptors came than were told of"));
    }
    Ok(taken)
}

fn receive_some(from: &UnixStream, taken: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut control = Control([0; ROOM]);
    let (mut byte, mut slice, mut header) = ([0], empty_slice(), empty_header());
    point(&mut header, &mut slice, &mut byte, &mut control);
    // SAFETY: the header points at `byte` and `control` with their lengths, and both outlive the call.
    let got = unsafe { libc::recvmsg(from.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel wrote control messages into `control` and their length into the header; its macros walk them. The
    // descriptors in them were opened for us by this call, and nobody else owns them.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while let Some(found) = message.as_ref() {
            if found.cmsg_level == libc::SOL_SOCKET && found.cmsg_type == libc::SCM_RIGHTS {
                let bytes = len(found.cmsg_len).saturating_sub(libc::CMSG_LEN(0) as usize);
                let places = libc::CMSG_DATA(message).cast::<RawFd>();
                for nth in 0..bytes / size_of::<RawFd>() {
                    taken.push(OwnedFd::from_raw_fd(places.add(nth).read_unaligned()));
                }
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
    }
    match header.msg_flags & libc::MSG_CTRUNC {
        _ if got == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
        0 => Ok(()),
        _ => Err(io::Error::other("there was no room for the descriptors: see the limit on open files")),
    }
}

/// A file that is in no folder and on no disk, and that is gone with its last descriptor.
pub fn memory_file() -> io::Result<File> {
    // SAFETY: the name ends with a zero, and is only read; the flags are those of memfd_create(2).
    let made = unsafe { libc::memfd_create(c"millrace".as_ptr(), libc::MFD_CLOEXEC) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel opened it for us by this call, and nobody else owns it.
    Ok(unsafe { File::from_raw_fd(made) })
}

const fn empty_slice() -> libc::iovec {
    libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }
}

fn empty_header() -> libc::msghdr {
    // SAFETY: all-zero is a valid `msghdr`: null pointers and zero lengths.
    unsafe { std::mem::zeroed() }
}

/// Lets a header lead to one byte and to room for control messages, as long as those are where they are.
fn point(
    header: &mut libc::msghdr,
    slice: &mut libc::iovec,
    byte: &mut [u8; 1],
    Control(control): &mut Control,
) {
    *slice = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    header.msg_iov = slice;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() as _;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn as_many_descriptors_come_as_went_in_their_order() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let files: Vec<File> = (0..150_u8)
            .map(|n| {
                let mut file = tempfile::tempfile().expect("a file");
                file.write_all(&[n]).expect("written");
                file
            })
            .collect();
        let borrowed: Vec<_> = files.iter().map(File::as_fd).collect();
        send_descriptors(&here, &borrowed).expect("sent");
        let came = receive_descriptors(&there, files.len()).expect("received");
        drop(files);
        for (n, fd) in came.into_iter().enumerate() {
            let mut file = File::from(fd);
            file.rewind().expect("a file");
            let mut read = [0];
            file.read_exact(&mut read).expect("read");
            assert_eq!(usize::from(read[0]), n);
        }
    }

    #[test]
    fn descriptors_that_do_not_come_are_an_error() {
        let (mut here, there) = UnixStream::pair().expect("a pair");
        here.write_all(b"x").expect("sent");
        assert_eq!(receive_descriptors(&there, 1).expect_err("none").kind(), io::ErrorKind::InvalidData);
        drop(here);
        let gone = receive_descriptors(&there, 1).expect_err("nobody");
        assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
    }
}
