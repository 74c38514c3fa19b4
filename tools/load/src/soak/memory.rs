//! Whether something grows: a line through samples (least squares).

use std::time::Duration;

/// Samples of one figure over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Growth {
    samples: Vec<(f64, f64)>,
}

impl Growth {
    pub(super) fn add(&mut self, at: Duration, value: u64) {
        self.samples.push((at.as_secs_f64(), value as f64));
    }

    /// The mean of all.
    pub(super) fn mean(&self) -> Option<f64> {
        let sum: f64 = self.samples.iter().map(|(_, value)| value).sum();
        (!self.samples.is_empty()).then(|| sum / self.samples.len() as f64)
    }

    /// How much the line rises from the first sample to the last, as a share of the mean. Of fewer than three samples it says
    /// nothing.
    pub(super) fn slope(&self) -> Option<f64> {
        let [(first, _), _, .., (last, _)] = *self.samples.as_slice() else { return None };
        let mean = self.mean()?;
        let middle = self.samples.iter().map(|(at, _)| at).sum::<f64>() / self.samples.len() as f64;
        let both: f64 = self.samples.iter().map(|(at, value)| (at - middle) * (value - mean)).sum();
        let spread: f64 = self.samples.iter().map(|(at, _)| (at - middle) * (at - middle)).sum();
        (spread > 0.0 && mean > 0.0).then(|| both / spread * (last - first) / mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Growth {
        let mut growth = Growth::default();
        for (n, value) in values.into_iter().enumerate() {
            growth.add(Duration::from_secs(5 * n as u64), value);
        }
        growth
    }

    #[test]
    fn what_goes_up_and_down_is_flat_and_what_rises_is_not() {
        let flat = of((0..360).map(|n| 1000 + n % 2 * 100)).slope().expect("samples");
        assert!(flat.abs() < 0.001, "{flat}");
        let rising = of((0..=100).map(|n| 1000 + n)).slope().expect("samples");
        assert!((rising - 100.0 / 1050.0).abs() < 1e-9, "{rising}");
        assert_eq!(of([1, 2]).slope(), None);
    }
}
