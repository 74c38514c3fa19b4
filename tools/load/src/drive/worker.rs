//! One thread: waits for sockets and times, and gives clients their turns.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millrace::router::command::IceCredentials;

use super::job::Run;
use super::sys::{Batch, Epoll, Waker};
use crate::Error;
use crate::peer::Remote;

/// The token of the waker; clients count from 1.
const WAKER: u64 = 0;
/// The longest wait: then the load is told anew.
const LONGEST: Duration = Duration::from_millis(200);

pub(super) enum Command {
    Start(u64, Box<dyn Run>),
    /// There is a change for it.
    Poke(u64),
    /// It goes on from another address.
    Move(u64),
    /// It goes on with these credentials of ours, and with what the server said.
    Restart(u64, IceCredentials, Remote),
    Stop(u64),
}

/// How much of a thread's time is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Since it began.
    pub elapsed: Duration,
    /// Of that, not waiting.
    pub busy: Duration,
    /// Of that, on a processor.
    pub cpu: Duration,
}

impl Load {
    /// Share of the time that it ran on a processor, 0 to 1.
    pub fn used(&self) -> f64 {
        ratio(self.cpu, self.elapsed)
    }

    /// Share of the time that it wanted a processor and had none.
    pub fn starved(&self) -> f64 {
        ratio(self.busy.saturating_sub(self.cpu), self.elapsed)
    }

    fn since(self, before: Self) -> Self {
        Self {
            elapsed: self.elapsed.saturating_sub(before.elapsed),
            busy: self.busy.saturating_sub(before.busy),
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
}

/// How the threads fared for a while.
#[derive(Clone, Debug)]
pub struct Strain {
    /// The thread with the least to spare.
    pub busiest: Load,
    /// From when a thread woke to when it had dealt with everything that was there, in microseconds: what comes at the end
    /// of a turn has waited for that long.
    pub turns: Histogram<u64>,
    /// Datagrams that the kernel dropped at our sockets because we did not read them in time.
    pub drops: u64,
    /// Datagrams received.
    pub datagrams: u64,
}

impl Default for Strain {
    fn default() -> Self {
        let turns = Histogram::new_with_bounds(1, 60_000_000, 2).expect("fitting bounds");
        Self { busiest: Load::default(), turns, drops: 0, datagrams: 0 }
    }
}

impl Strain {
    /// Of both.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        if other.busiest.used() + other.busiest.starved() >= self.busiest.used() + self.busiest.starved() {
            self.busiest = other.busiest;
        }
        // The bounds are equal.
        let _ = self.turns.add(&other.turns);
        self.drops += other.drops;
        self.datagrams += other.datagrams;
        self
    }
}

/// What a thread tells while it runs.
#[derive(Default)]
struct Gauge {
    load: Load,
    told: Load,
    strain: Strain,
}

struct Inner {
    commands: Mutex<mpsc::Sender<Command>>,
    waker: Arc<Waker>,
    gauge: Arc<Mutex<Gauge>>,
    ended: Arc<AtomicBool>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

/// A running thread; it ends when the last handle is gone.
#[derive(Clone)]
pub(super) struct Handle(Arc<Inner>);

impl Handle {
    pub(super) fn start(n: usize) -> Result<Self, Error> {
        let (commands, received) = mpsc::channel();
        let waker = Arc::new(Waker::new()?);
        let epoll = Epoll::new()?;
        epoll.add(waker.fd(), WAKER)?;
        let gauge = Arc::<Mutex<Gauge>>::default();
        let ended = Arc::<AtomicBool>::default();
        let worker = Worker {
            epoll,
            waker: waker.clone(),
            commands: received,
            clients: HashMap::new(),
            times: BinaryHeap::new(),
            batch: Batch::new(),
            gauge: gauge.clone(),
            ended: ended.clone(),
        };
        std::thread::Builder::new().name(format!("clients-{n}")).spawn(move || worker.run())?;
        Ok(Self(Arc::new(Inner { commands: Mutex::new(commands), waker, gauge, ended })))
    }

    pub(super) fn send(&self, command: Command) {
        let commands = self.0.commands.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that ended took its clients with it, and they say so.
        let _ = commands.send(command);
        drop(commands);
        self.0.waker.wake();
    }

    /// Since it was last asked.
    pub(super) fn strain(&self) -> Strain {
        let mut gauge = self.0.gauge.lock().unwrap_or_else(PoisonError::into_inner);
        let mut strain = std::mem::take(&mut gauge.strain);
        strain.busiest = gauge.load.since(gauge.told);
        gauge.told = gauge.load;
        strain
    }
}

struct Entry {
    run: Box<dyn Run>,
    /// The earliest time that is in `times` for it.
    wake: Instant,
    drops: u32,
}

struct Worker {
    epoll: Epoll,
    waker: Arc<Waker>,
    commands: mpsc::Receiver<Command>,
    clients: HashMap<u64, Entry>,
    /// Times that are not the `wake` of their client any more are passed over.
    times: BinaryHeap<Reverse<(Instant, u64)>>,
    batch: Batch,
    gauge: Arc<Mutex<Gauge>>,
    ended: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self) {
        let began = Instant::now();
        let (mut load, mut tokens) = (Load::default(), Vec::new());
        let mut looked = began;
        while !self.ended.load(Ordering::Relaxed) {
            let now = Instant::now();
            let next = self.times.peek().map_or(now + LONGEST, |time| time.0.0.min(now + LONGEST));
            if self.epoll.wait(next.saturating_duration_since(now), &mut tokens).is_err() {
                // Only a kernel without the call does that.
                return;
            }
            let woke = Instant::now();
            let mut datagrams = 0;
            for token in &tokens {
                match *token {
                    WAKER => self.obey(),
                    id => datagrams += self.receive(id),
                }
            }
            self.serve_times();
            let done = Instant::now();
            load.busy += done - woke;
            if done - looked >= LONGEST {
                looked = done;
                self.look();
            }
            let mut gauge = self.gauge.lock().unwrap_or_else(PoisonError::into_inner);
            load.elapsed = done - began;
            load.cpu = millrace::net::processor_time();
            gauge.load = load;
            gauge.strain.datagrams += datagrams;
            if datagrams > 0 {
                gauge.strain.turns.saturating_record((done - woke).as_micros() as u64);
            }
        }
    }

    fn obey(&mut self) {
        self.waker.rest();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Start(id, run) => {
                    if let Err(error) = self.epoll.add(run.fd(), id) {
                        run.finish(Err(error.into()));
                        continue;
                    }
                    // Its first turn sets its time.
                    let wake = Instant::now() + Duration::from_secs(3600);
                    self.clients.insert(id, Entry { run, wake, drops: 0 });
                    self.turn(id);
                }
                Command::Poke(id) => {
                    if let Some(entry) = self.clients.get_mut(&id) {
                        entry.run.change();
                    }
                    self.turn(id);
                }
                Command::Move(id) => self.move_to_another_address(id),
                Command::Restart(id, ice, remote) => {
                    if let Some(entry) = self.clients.get_mut(&id) {
                        entry.run.restart(Instant::now(), &ice, &remote);
                    }
                    self.turn(id);
                }
                Command::Stop(id) => self.end(id, Ok(())),
            }
        }
    }

    fn move_to_another_address(&mut self, id: u64) {
        let Some(entry) = self.clients.get_mut(&id) else { return };
        let before = entry.run.drops().wrapping_sub(entry.drops);
        // The socket before it goes, and with it what the epoll knew of it.
        let moved = entry.run.change_address(Instant::now());
        match moved.and_then(|()| self.epoll.add(entry.run.fd(), id)) {
            Ok(()) => {
                entry.drops = 0;
                self.count_drops(before);
                self.turn(id);
            }
            Err(error) => self.end(id, Err(error.into())),
        }
    }

    fn receive(&mut self, id: u64) -> u64 {
        let Some(entry) = self.clients.get_mut(&id) else { return 0 };
        match entry.run.receive(&mut self.batch) {
            Ok(count) => {
                self.turn(id);
                count as u64
            }
            Err(error) => {
                self.end(id, Err(error));
                0
            }
        }
    }

    fn serve_times(&mut self) {
        while let Some(&Reverse((at, id))) = self.times.peek() {
            if at > Instant::now() {
                return;
            }
            self.times.pop();
            let Some(entry) = self.clients.get_mut(&id) else { continue };
            if entry.wake == at {
                entry.wake = at + Duration::from_secs(3600);
                self.turn(id);
            }
        }
    }

    fn turn(&mut self, id: u64) {
        let Some(entry) = self.clients.get_mut(&id) else { return };
        match entry.run.turn(Instant::now()) {
            Ok(wake) => {
                // A later time is found when the earlier one has come.
                if wake < entry.wake {
                    entry.wake = wake;
                    self.times.push(Reverse((wake, id)));
                }
            }
            Err(error) => self.end(id, Err(error)),
        }
    }

    fn end(&mut self, id: u64, result: Result<(), Error>) {
        if let Some(entry) = self.clients.remove(&id) {
            self.count_drops(entry.run.drops().wrapping_sub(entry.drops));
            entry.run.finish(result);
        }
    }

    /// Asks the sockets for what they had to drop.
    fn look(&mut self) {
        let mut new = 0;
        for entry in self.clients.values_mut() {
            let drops = entry.run.drops();
            new += drops.wrapping_sub(std::mem::replace(&mut entry.drops, drops));
        }
        self.count_drops(new);
    }

    fn count_drops(&self, new: u32) {
        if new > 0 {
            self.gauge.lock().unwrap_or_else(PoisonError::into_inner).strain.drops += u64::from(new);
        }
    }
}
