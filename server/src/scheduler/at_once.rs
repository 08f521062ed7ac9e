//! How many runs a device runs at once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// How many runs each device runs at once: one, unless the owner of the machine says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtOnce(BTreeMap<String, NonZeroUsize>);

/// A device and a number, as `cuda:0=3` on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceShare {
    device: String,
    runs: NonZeroUsize,
}

impl AtOnce {
    pub fn of(&self, device: &str) -> usize {
        self.0.get(device).map_or(1, |runs| runs.get())
    }
}

impl FromIterator<DeviceShare> for AtOnce {
    fn from_iter<T: IntoIterator<Item = DeviceShare>>(shares: T) -> Self {
        AtOnce(shares.into_iter().map(|DeviceShare { device, runs }| (device, runs)).collect())
    }
}

impl FromStr for DeviceShare {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write a device and how many runs it runs at once, such as `cuda:0=3`";
        let (device, runs) = text.trim().split_once('=').ok_or(wrong)?;
        if device != "cpu" && device.strip_prefix("cuda:").is_none_or(|number| number.parse::<u32>().is_err()) {
            return Err(wrong);
        }
        Ok(DeviceShare { device: device.to_owned(), runs: runs.parse().map_err(|_| wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_runs_one_run_unless_it_is_said_otherwise() {
        let at_once: AtOnce = ["cuda:1=3", "cpu=2"].map(|text| text.parse().unwrap()).into_iter().collect();
        assert_eq!(["cpu", "cuda:0", "cuda:1"].map(|device| at_once.of(device)), [2, 1, 3]);
        for text in ["cuda:0", "cuda:0=0", "cuda=2", "gpu=2", "cpu=-1", "cpu=many"] {
            assert!(text.parse::<DeviceShare>().is_err(), "{text}");
        }
    }
}
