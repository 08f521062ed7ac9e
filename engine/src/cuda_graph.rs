//! CUDA graphs: kernels that are recorded once and then launched together. An attack consists of so many small kernels
//! that launching them one by one takes longer than running them.
//!
//! The functions lie in a library of their own (`engine/shim/cuda_graph.cpp`), which this file contains.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::env;
use std::ffi::{c_char, c_int, c_void};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::OnceLock;
use std::{process, ptr};

use libloading::os::unix::Library;
use tch::{Device, Tensor, no_grad};

use crate::{Error, device, shim};

/// The library; empty if it was built without the headers of CUDA.
static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cuda_graph.so"));
/// Variable of the environment that turns graphs on. They are off until they have been measured.
const TURNED_ON: &str = "CROSSLENS_CUDA_GRAPH";

/// The graphs of one computation, one for each size of its batches.
///
/// The first batch of a size is computed as usual, because libtorch then allocates and chooses algorithms. The second is
/// recorded.
#[derive(Debug)]
pub(crate) struct Graphs {
    is_on: bool,
    /// `None` after the first batch.
    by_size: HashMap<i64, Option<Graph>>,
}

/// A recorded computation.
#[derive(Debug)]
struct Graph {
    functions: &'static Functions,
    handle: *mut c_void,
    /// Where the computation reads and writes. Other values get there by copying.
    inputs: Vec<Tensor>,
    output: Tensor,
}

#[derive(Debug)]
struct Functions {
    record: unsafe extern "C" fn(c_int, *mut *mut c_void) -> *mut c_char,
    end: unsafe extern "C" fn(*mut c_void) -> *mut c_char,
    replay: unsafe extern "C" fn(*mut c_void) -> *mut c_char,
    free: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: CUDA lets any thread launch a graph, and only its owner does.
unsafe impl Send for Graph {}

impl Graphs {
    /// Graphs for computations on `device`. None are recorded on the CPU, or unless the environment asks for it.
    pub(crate) fn on(device: Device) -> Self {
        let is_on = matches!(device, Device::Cuda(_)) && env::var_os(TURNED_ON).is_some_and(|value| value == "1");
        Graphs { is_on, by_size: HashMap::new() }
    }

    /// Computes `work(inputs)`, from a graph if there is one.
    ///
    /// `work` must depend on nothing else that changes, but for values of tensors that stay where they are, and must not
    /// wait for the device. The first dimension of the first input is the size of the batch.
    pub(crate) fn run<const N: usize>(
        &mut self,
        inputs: [&Tensor; N],
        work: impl Fn([&Tensor; N]) -> Result<Tensor, Error>,
    ) -> Result<Tensor, Error> {
        let (true, Device::Cuda(device)) = (self.is_on, inputs[0].device()) else { return work(inputs) };
        match self.by_size.entry(inputs[0].size()[0]) {
            Entry::Vacant(first) => {
                first.insert(None);
                work(inputs)
            }
            Entry::Occupied(mut known) => match known.get() {
                Some(graph) => Ok(graph.replay(inputs)),
                None => match Graph::record(device, inputs, &work) {
                    Ok(graph) => {
                        let found = graph.replay(inputs);
                        known.insert(Some(graph));
                        Ok(found)
                    }
                    Err(reason) => {
                        let _ = writeln!(io::stderr(), "warning: the attack runs without a CUDA graph: {reason}");
                        self.is_on = false;
                        work(inputs)
                    }
                },
            },
        }
    }
}

impl Graph {
    /// Records `work`. Returns the reason if CUDA cannot.
    fn record<const N: usize>(
        device: usize,
        inputs: [&Tensor; N],
        work: impl Fn([&Tensor; N]) -> Result<Tensor, Error>,
    ) -> Result<Self, String> {
        let functions = functions().as_ref()?;
        let inputs = inputs.map(Tensor::copy);
        let mut handle = ptr::null_mut();
        // SAFETY: the functions are those of the shim; `handle` is written if nothing fails.
        unsafe { shim::outcome((functions.record)(device as c_int, &mut handle))? };
        let output = work(inputs.each_ref()).map_err(|error| error.to_string());
        // From here on, the handle is freed in any case.
        let mut graph = Graph { functions, handle, inputs: inputs.into(), output: Tensor::new() };
        // SAFETY: `handle` is a recording that has not ended.
        unsafe { shim::outcome((functions.end)(handle))? };
        graph.output = output?;
        Ok(graph)
    }

    /// Computes the output for other values of the inputs.
    fn replay<const N: usize>(&self, inputs: [&Tensor; N]) -> Tensor {
        no_grad(|| {
            for (place, input) in self.inputs.iter().zip(inputs) {
                place.shallow_clone().copy_(input);
            }
            // SAFETY: the handle is valid until this graph is dropped.
            unsafe { shim::succeed((self.functions.replay)(self.handle)) };
            self.output.copy()
        })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: nothing uses the handle any more.
        unsafe { (self.functions.free)(self.handle) }
    }
}

/// Opens the library on the first call. libtorch's part for CUDA must be loaded by then.
fn functions() -> &'static Result<Functions, String> {
    static FUNCTIONS: OnceLock<Result<Functions, String>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        if LIBRARY.is_empty() {
            return Err("this worker was built without the headers of CUDA".to_owned());
        }
        let path = env::temp_dir().join(format!("crosslens-cuda-graph-{}.so", process::id()));
        fs::write(&path, LIBRARY).map_err(|error| format!("{}: {error}", path.display()))?;
        // SAFETY: the library runs nothing when it is opened, and declares its functions as above.
        let functions = unsafe { open(&path) };
        let _ = fs::remove_file(&path);
        functions.map_err(|error| device::reason(&error))
    })
}

/// # Safety
///
/// The library must be the one of this file.
unsafe fn open(path: &Path) -> Result<Functions, libloading::Error> {
    // SAFETY: as the caller says.
    unsafe {
        let library = Library::open(Some(path), libloading::os::unix::RTLD_NOW)?;
        let functions = Functions {
            record: *library.get(b"crosslens_graph_record\0")?,
            end: *library.get(b"crosslens_graph_end\0")?,
            replay: *library.get(b"crosslens_graph_replay\0")?,
            free: *library.get(b"crosslens_graph_free\0")?,
        };
        // The functions must stay where they are.
        std::mem::forget(library);
        Ok(functions)
    }
}
