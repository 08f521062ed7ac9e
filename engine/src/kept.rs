//! Results of the batches of a measurement, and a random search within a batch, kept so that it can be
//! stopped at any time and continued.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::autoattack::square::{KeepSearch, Search};
use crate::checkpoint;
use crate::robustness::KeepBatch;
use crate::stop::Stop;

/// Time between two saves, if [`save_every`] was called.
static INTERVAL: OnceLock<Duration> = OnceLock::new();

/// Sets the time between two saves of what is not complete, for the whole process: a minute otherwise. Later
/// calls have no effect.
pub fn save_every(interval: Duration) {
    INTERVAL.get_or_init(|| interval);
}

/// Tells when to save what is not complete. A killed worker loses at most what it has computed since, and the
/// step that it was in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaveTimer {
    saved: Instant,
    interval: Duration,
}

impl SaveTimer {
    const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
    /// Largest share of the time that is spent on saving: on a slow disk, large states are saved less often.
    const SHARE: u32 = 100;

    pub(crate) fn start() -> Self {
        SaveTimer { saved: Instant::now(), interval: SaveTimer::shortest() }
    }

    fn shortest() -> Duration {
        INTERVAL.get().copied().unwrap_or(SaveTimer::DEFAULT_INTERVAL)
    }

    pub(crate) fn is_due(&self) -> bool {
        self.saved.elapsed() >= self.interval
    }

    /// Runs `save`, and starts again.
    pub(crate) fn around<T>(&mut self, save: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let outcome = save();
        self.saved = Instant::now();
        self.interval = SaveTimer::shortest().max((self.saved - begun) * SaveTimer::SHARE);
        outcome
    }
}

/// Key in the metadata of the file.
const BELONGS_TO: &str = "belongs_to";
/// Key of the number of queries of a random search.
const QUERIES: &str = "queries";
/// Name of the tensor with the duration of each batch.
const SECONDS: &str = "seconds";
/// Name of the tensor with the broken gradients of a batch, after the number of the batch.
const BROKEN_GRADIENTS: &str = "broken_gradients";

/// What the batches of a measurement gave, in the order in which they were computed.
///
/// A measurement is a fixed sequence of batches. A restarted worker goes through it again, and takes what is
/// kept in place of computing it. Results therefore do not depend on where a worker was stopped.
#[derive(Debug)]
pub struct Kept {
    stop: Stop,
    batches: Vec<Batch>,
    /// Number of batches that the measurement has been through.
    reached: usize,
    file: Option<KeptFile>,
}

/// What one batch gave.
#[derive(Debug)]
pub(crate) struct Batch {
    /// What the measurement has computed of its images.
    pub(crate) tensors: Vec<Tensor>,
    /// That of [`crate::attack::Perturbed`]. `None` if the images were not attacked, and in files of earlier
    /// versions.
    pub(crate) broken_gradients: Option<Tensor>,
    /// Duration of the computation, including the attack.
    pub(crate) seconds: f64,
}

#[derive(Debug)]
struct KeptFile {
    path: PathBuf,
    /// Names what is measured. Batches of anything else are not used.
    belongs_to: String,
    timer: SaveTimer,
}

impl Kept {
    /// Keeps batches only in memory.
    pub fn in_memory(stop: &Stop) -> Self {
        Kept { stop: stop.clone(), batches: Vec::new(), reached: 0, file: None }
    }

    /// Keeps batches in a file too: once a minute, and when the measurement is stopped.
    ///
    /// Continues with the batches in the file if they belong to the same measurement. Their tensors are put
    /// on `device`.
    pub fn in_file(stop: &Stop, path: &Path, belongs_to: String, device: Device) -> Result<Self, Error> {
        let batches = if path.exists() { read(path, &belongs_to, device)? } else { Vec::new() };
        let file = KeptFile { path: path.to_owned(), belongs_to, timer: SaveTimer::start() };
        Ok(Kept { file: Some(file), batches, ..Kept::in_memory(stop) })
    }

    /// Goes on with the next batch: computes it, unless its result is kept.
    ///
    /// `compute` returns the fields of [`Batch`]. Nothing may change the tensors later.
    pub(crate) fn batch(&mut self, compute: impl FnOnce(&Stop) -> Result<(Vec<Tensor>, Option<Tensor>), Error>) -> Result<(), Error> {
        if self.reached == self.batches.len() {
            let begun = Instant::now();
            let (tensors, broken_gradients) = self.or_save(|stop| {
                stop.check()?;
                compute(stop)
            })?;
            self.batches.push(Batch { tensors, broken_gradients, seconds: begun.elapsed().as_secs_f64() });
            if self.file.as_ref().is_some_and(|file| file.timer.is_due()) {
                self.save()?;
            }
        }
        self.reached += 1;
        Ok(())
    }

    /// Does a part of the measurement that is too short to be kept. If it is stopped, saves the batches.
    pub(crate) fn or_save<T>(&mut self, work: impl FnOnce(&Stop) -> Result<T, Error>) -> Result<T, Error> {
        let outcome = work(&self.stop);
        if let Err(Error::Stopped(_)) = outcome {
            self.save()?;
        }
        outcome
    }

    /// Returns the number of batches that the measurement has been through.
    pub(crate) fn reached(&self) -> usize {
        self.reached
    }

    /// Returns the results of all batches since the measurement had been through `first` of them.
    pub(crate) fn since(&self, first: usize) -> &[Batch] {
        &self.batches[first..self.reached]
    }

    /// Removes the file. Needed once the results of the measurement are written.
    pub(crate) fn remove(self) -> Result<(), Error> {
        self.file.map_or(Ok(()), |file| remove(&file.path))
    }

    fn save(&mut self) -> Result<(), Error> {
        let Some(KeptFile { path, belongs_to, timer }) = &mut self.file else { return Ok(()) };
        timer.around(|| {
            let of_batch = |(number, batch): (usize, &Batch)| {
                let numbered = batch.tensors.iter().enumerate().map(|(index, tensor)| (index.to_string(), tensor));
                let all = numbered.chain(batch.broken_gradients.iter().map(|tensor| (BROKEN_GRADIENTS.to_owned(), tensor)));
                all.map(|(name, tensor)| (format!("{number}.{name}"), tensor.to_device(Device::Cpu))).collect::<Vec<_>>()
            };
            let mut tensors: Vec<(String, Tensor)> = self.batches.iter().enumerate().flat_map(of_batch).collect();
            let seconds: Vec<f64> = self.batches.iter().map(|batch| batch.seconds).collect();
            tensors.push((SECONDS.to_owned(), Tensor::from_slice(&seconds)));
            checkpoint::save_sealed(path, &tensors, HashMap::from([(BELONGS_TO.to_owned(), belongs_to.clone())]))
        })
    }
}

/// Keeps a random search on the batch under way in a file: once a minute, and when it is stopped.
#[derive(Debug)]
pub(crate) struct KeptSearch {
    path: PathBuf,
    device: Device,
    /// Names the network that is attacked.
    network: String,
    /// Names the batch.
    batch: String,
    timer: SaveTimer,
    /// How far the search is, if that is not in the file.
    unsaved: Option<Search>,
}

impl KeptSearch {
    pub(crate) fn in_file(path: &Path, network: &str, device: Device) -> Self {
        let (path, network) = (path.to_owned(), network.to_owned());
        KeptSearch { path, device, network, batch: String::new(), timer: SaveTimer::start(), unsaved: None }
    }

    /// Saves how far the search is. Needed when it is stopped.
    pub(crate) fn save(&mut self) -> Result<(), Error> {
        let Some(Search { queries, adversarial, rows, best, margins }) = self.unsaved.take() else { return Ok(()) };
        self.timer.around(|| {
            let tensors = [("adversarial", adversarial), ("rows", rows), ("best", best), ("margins", margins)];
            let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor.to_device(Device::Cpu)));
            let facts = [(BELONGS_TO, format!("{} {}", self.network, self.batch)), (QUERIES, queries.to_string())];
            checkpoint::save_sealed(&self.path, &tensors, facts.map(|(name, value)| (name.to_owned(), value)).into())
        })
    }

    /// Removes the file. Needed once the evaluation is complete.
    pub(crate) fn remove(self) -> Result<(), Error> {
        remove(&self.path)
    }
}

impl KeepBatch for KeptSearch {
    fn next(&mut self, name: String) {
        self.unsaved = None;
        self.batch = name;
    }
}

impl KeepSearch for KeptSearch {
    fn begin(&mut self) -> Result<Option<Search>, Error> {
        if !self.path.exists() {
            return Ok(None);
        }
        let file = checkpoint::open_sealed(&self.path)?;
        let fact = |name: &str| file.metadata().get(name).cloned().unwrap_or_default();
        if fact(BELONGS_TO) != format!("{} {}", self.network, self.batch) {
            return Ok(None);
        }
        let [adversarial, rows, best, margins] =
            ["adversarial", "rows", "best", "margins"].map(|name| Ok::<_, Error>(file.read(name)?.to_device(self.device)));
        let queries = fact(QUERIES).parse().map_err(|_| Error::RunDir {
            path: self.path.clone(),
            problem: "does not say how many queries were made; remove it to begin again without it".to_owned(),
        })?;
        Ok(Some(Search { queries, adversarial: adversarial?, rows: rows?, best: best?, margins: margins? }))
    }

    fn reached(&mut self, search: Search) -> Result<(), Error> {
        self.unsaved = Some(search);
        if self.timer.is_due() { self.save() } else { Ok(()) }
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}

/// Keeps batches only in memory, and is never stopped.
impl Default for Kept {
    fn default() -> Self {
        Kept::in_memory(&Stop::default())
    }
}

/// Reads the batches of a file. Returns none if they belong to another measurement.
fn read(path: &Path, belongs_to: &str, device: Device) -> Result<Vec<Batch>, Error> {
    let file = checkpoint::open_sealed(path)?;
    if file.metadata().get(BELONGS_TO).map(String::as_str) != Some(belongs_to) {
        return Ok(Vec::new());
    }
    let seconds = Vec::<f64>::try_from(file.read(SECONDS)?.to_kind(Kind::Double))?;
    let batch = |(batch, seconds): (usize, f64)| {
        let named = (0..).map(|index: usize| format!("{batch}.{index}")).take_while(|name| file.tensors().contains_key(name));
        let read = |name: String| Ok::<_, Error>(file.read(&name)?.to_device(device));
        let tensors = named.map(read).collect::<Result<_, Error>>()?;
        let broken_gradients = Some(format!("{batch}.{BROKEN_GRADIENTS}")).filter(|name| file.tensors().contains_key(name));
        Ok(Batch { tensors, broken_gradients: broken_gradients.map(read).transpose()?, seconds })
    };
    seconds.into_iter().enumerate().map(batch).collect()
}

/// Returns the seconds that batches took together.
pub(crate) fn seconds(batches: &[Batch]) -> f64 {
    batches.iter().map(|batch| batch.seconds).sum()
}

/// Returns the tensor with number `index` of each batch, joined along the first dimension.
pub(crate) fn joined(batches: &[Batch], index: usize) -> Tensor {
    Tensor::cat(&batches.iter().map(|batch| &batch.tensors[index]).collect::<Vec<_>>(), 0)
}

/// Returns the broken gradients of all images, `[2, N]`. `None` if a batch lacks them.
pub(crate) fn joined_broken_gradients(batches: &[Batch]) -> Option<Tensor> {
    let found: Option<Vec<&Tensor>> = batches.iter().map(|batch| batch.broken_gradients.as_ref()).collect();
    found.filter(|found| !found.is_empty()).map(|found| Tensor::cat(&found, 1))
}

#[cfg(test)]
mod tests {
    use shared::rundir::StopReason;

    use super::*;

    /// Goes through four batches. Stops before batch `stopped`, if given. Returns which batches were
    /// computed, and the results.
    fn measure(path: &Path, belongs_to: &str, stopped: Option<i64>) -> (Vec<i64>, Result<Vec<f64>, Error>) {
        let stop = Stop::default();
        let mut kept = Kept::in_file(&stop, path, belongs_to.to_owned(), Device::Cpu).unwrap();
        let mut computed = Vec::new();
        let outcome = (0..4).try_for_each(|batch| {
            if stopped == Some(batch) {
                stop.request();
            }
            kept.batch(|_| {
                computed.push(batch);
                let value = (batch as f64 + 0.1).sqrt();
                let tensors = vec![Tensor::from_slice(&[value]), Tensor::from(batch), Tensor::zeros([0i64, 3], (Kind::Float, Device::Cpu))];
                Ok((tensors, Some(Tensor::from_slice(&[batch, 1]).view([2, 1]))))
            })
        });
        let values = |kept: &Kept| {
            let broken_gradients = joined_broken_gradients(kept.since(0)).unwrap();
            let of_images = [joined(kept.since(0), 0), broken_gradients.view(-1).to_kind(Kind::Double)];
            Vec::<f64>::try_from(Tensor::cat(&of_images, 0)).unwrap()
        };
        (computed, outcome.map(|()| values(&kept)))
    }

    #[test]
    fn a_stopped_measurement_continues_with_the_batch_that_it_had_reached() {
        let directory = tempfile::tempdir().unwrap();
        let expected = measure(&directory.path().join("whole"), "a", None).1.unwrap();
        for stopped in 0..4 {
            let path = directory.path().join(stopped.to_string());
            let (before, outcome) = measure(&path, "a", Some(stopped));
            assert!(matches!(outcome, Err(Error::Stopped(StopReason::Requeue))));
            let (after, outcome) = measure(&path, "a", None);
            assert_eq!([before, after].concat(), [0, 1, 2, 3]);
            assert_eq!(outcome.unwrap(), expected);
        }
    }

    #[test]
    fn batches_of_another_measurement_are_not_used_and_damaged_ones_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kept");
        let _ = measure(&path, "a", Some(2));
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(measure(&path, "b", None).0, [0, 1, 2, 3]);

        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = Kept::in_file(&Stop::default(), &path, "a".to_owned(), Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("is damaged") && error.contains("remove it"), "{error}");
    }
}
