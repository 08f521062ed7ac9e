//! The device of the tensors: the CPU, or a GPU if the machine and its libtorch support one.
//!
//! The worker links only the CPU part of libtorch, so that one binary runs on every machine. Loading
//! `libtorch_cuda.so` registers CUDA with libtorch. This must happen before the first tensor is created.

use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::os::unix::Library;
use shared::api;
use shared::config::Precision;
use tch::{Cuda, Device};

use crate::speed::multiply_adds_per_sec;
use crate::{Error, shim};

/// Version of this crate, as it is written to records and sidecars.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Finds the device with the name that a configuration uses: `auto`, `cpu` or `cuda:N`.
///
/// `auto` is the first CUDA device, or the CPU if there is none. Fails if the machine has no such device.
pub fn choose(name: &str) -> Result<Device, Error> {
    let unusable = |reason: String| Error::Device { device: name.to_owned(), reason };
    let Some(index) = name.strip_prefix("cuda:") else {
        return match name {
            "cpu" => Ok(Device::Cpu),
            "auto" if matches!(cuda_devices(), Ok(1..)) => Ok(gpu_as_configured(0)),
            "auto" => {
                if let Some(reason) = why_no_cuda() {
                    let _ = writeln!(io::stderr(), "warning: CUDA is not used: {reason}; running on the CPU");
                }
                Ok(Device::Cpu)
            }
            _ => Err(unusable("use `auto`, `cpu` or `cuda:N` with N from 0".to_owned())),
        };
    };
    let index: usize = index.parse().map_err(|_| unusable(format!("`{index}` is not a device number")))?;
    match cuda_devices() {
        Ok(count) if index < *count => Ok(gpu_as_configured(index)),
        Ok(0) => Err(unusable(why_no_cuda().unwrap_or_else(|| "there is no CUDA device".to_owned()))),
        Ok(count) => Err(unusable(format!("the machine has {count} CUDA devices, numbered from `cuda:0`"))),
        Err(reason) => Err(unusable(reason.clone())),
    }
}

/// Fails if `device` does not compute with `precision`.
pub fn require(precision: Precision, device: Device) -> Result<(), Error> {
    match precision {
        Precision::Bf16 if !computes_bf16(device) => Err(Error::Device {
            device: id(device),
            reason: "its processor has neither avx512_bf16 nor amx_bf16; set `precision` to `float32`, or `device` to a GPU".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Whether a device has instructions for bfloat16. Without them, it is slower than float32.
fn computes_bf16(device: Device) -> bool {
    match device {
        Device::Cuda(_) => true,
        _ => fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpuinfo| has_bf16(&cpuinfo)),
    }
}

fn has_bf16(cpuinfo: &str) -> bool {
    let has = |flags: &str| flags.split_whitespace().any(|flag| flag == "avx512_bf16" || flag == "amx_bf16");
    cpuinfo.lines().filter(|line| line.starts_with("flags")).any(has)
}

/// Returns a GPU after settings of libtorch for GPUs: the fastest algorithm for each convolution, and no TF32.
fn gpu_as_configured(index: usize) -> Device {
    Cuda::cudnn_set_benchmark(true);
    shim::exact_float32();
    Device::Cuda(index)
}

/// Returns the name that configurations use for a device: `cpu` or `cuda:N`.
pub fn id(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// Returns a name for people: the GPU's product name, or the number of CPU threads.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => gpu_name(index).unwrap_or_else(|| format!("CUDA device {index}")),
        _ => {
            let threads = tch::get_num_threads();
            format!("{threads} CPU thread{}", if threads == 1 { "" } else { "s" })
        }
    }
}

/// Lists the devices of this machine and measures their speed, with the versions of the engine and of libtorch.
pub fn probe() -> api::Probe {
    let gpus = (0..*cuda_devices().as_ref().unwrap_or(&0)).map(Device::Cuda);
    let devices = gpus
        .chain([Device::Cpu])
        .map(|device| api::Device {
            id: id(device),
            name: name(device),
            memory_bytes: memory_bytes(device),
            bf16: computes_bf16(device),
            multiply_adds_per_sec: Some(multiply_adds_per_sec(device)),
        })
        .collect();
    api::Probe { engine: ENGINE_VERSION.to_owned(), libtorch: libtorch_version(), devices }
}

/// Returns the version of the loaded libtorch, for example `2.11.0`.
pub fn libtorch_version() -> String {
    // SAFETY: libtorch's stable C interface declares the symbol with this signature since 2.9.
    let packed = unsafe { Library::this().get::<unsafe extern "C" fn() -> u64>(b"aoti_torch_abi_version\0").map(|version| version()) };
    match packed {
        Ok(packed) => {
            let [major, minor, patch, ..] = packed.to_be_bytes();
            format!("{major}.{minor}.{patch}")
        }
        Err(_) => "unknown".to_owned(),
    }
}

/// Loads CUDA on the first call. Returns the number of CUDA devices, or the reason why CUDA cannot be used.
fn cuda_devices() -> &'static Result<usize, String> {
    static DEVICES: OnceLock<Result<usize, String>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let path = beside_libtorch_cpu("libtorch_cuda.so").ok_or("this libtorch has no CUDA support: libtorch_cuda.so is missing")?;
        load_permanently(&path).map_err(|error| format!("CUDA cannot be loaded: {}", reason(&error)))?;
        Ok(usize::try_from(Cuda::device_count()).unwrap_or(0))
    })
}

/// Returns what is missing, if a part of what CUDA needs is there. `None` if there is a device, or no trace of one.
fn why_no_cuda() -> Option<String> {
    // SAFETY: loading the driver only runs its own initialization.
    let has_driver = unsafe { Library::new("libcuda.so.1") }.is_ok();
    match (cuda_devices(), has_driver) {
        (Ok(0), false) => Some("libtorch has CUDA, but there is no NVIDIA driver (libcuda.so.1)".to_owned()),
        (Ok(0), true) => Some("the NVIDIA driver reports no device".to_owned()),
        (Err(reason), true) => Some(reason.clone()),
        (Ok(1..), _) | (Err(_), false) => None,
    }
}

/// Returns what the system says about a library that cannot be opened, such as which other one is missing.
pub(crate) fn reason(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn load_permanently(path: &Path) -> Result<(), libloading::Error> {
    // SAFETY: the library belongs to the libtorch that this process is linked to. Loading it only runs its
    // own registration.
    let library = unsafe { Library::open(Some(path), libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL)? };
    // libtorch keeps pointers into the library, so it must never be unloaded.
    std::mem::forget(library);
    Ok(())
}

/// Returns the path of `library` in the folder of the loaded `libtorch_cpu.so`. A library of another version
/// would not fit.
fn beside_libtorch_cpu(library: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let cpu = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..])).find(|path| path.ends_with("/libtorch_cpu.so"))?;
    Some(Path::new(cpu).with_file_name(library)).filter(|path| path.exists())
}

/// Asks the CUDA driver for the product name of a GPU.
fn gpu_name(index: usize) -> Option<String> {
    let mut name = [0 as c_char; 256];
    // SAFETY: the CUDA driver API documents this function. It writes at most `name.len()` bytes, including
    // the final zero.
    unsafe {
        let (driver, device) = gpu(index)?;
        let get_name = driver.get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(b"cuDeviceGetName\0").ok()?;
        let found = get_name(name.as_mut_ptr(), name.len() as c_int, device) == 0;
        found.then(|| CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
}

/// Returns the total memory of a GPU. `None` for the CPU, or if the driver does not answer.
fn memory_bytes(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    let mut bytes = 0_usize;
    // SAFETY: the CUDA driver API documents this function, with this signature since CUDA 3.2.
    unsafe {
        let (driver, device) = gpu(index)?;
        let total = driver.get::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>(b"cuDeviceTotalMem_v2\0").ok()?;
        (total(&mut bytes, device) == 0).then_some(bytes as u64)
    }
}

/// Opens the CUDA driver and returns it with its handle of the GPU.
fn gpu(index: usize) -> Option<(Library, c_int)> {
    // SAFETY: loading the driver only runs its own initialization. The CUDA driver API documents both
    // functions.
    unsafe {
        let driver = Library::new("libcuda.so.1").ok()?;
        let init = driver.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0").ok()?;
        let get = driver.get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0").ok()?;
        let mut device = 0;
        let found = init(0) == 0 && get(&mut device, index as c_int) == 0;
        found.then_some((driver, device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_computes_bfloat16_if_it_has_instructions_for_it() {
        let with =
            |flags: &str| format!("processor\t: 0\nmodel name\t: avx512_bf16\nflags\t\t: fpu avx2 {flags} sse\nbugs\t\t: amx_bf16\n");
        assert!(!has_bf16(&with("avx512f avx512_fp16")));
        assert!(has_bf16(&with("avx512f avx512_bf16")));
        assert!(has_bf16(&with("amx_tile amx_bf16")));
        assert!(!has_bf16(""));
    }

    #[test]
    fn a_device_that_cannot_compute_a_precision_is_named() {
        require(Precision::Float32, Device::Cpu).unwrap();
        require(Precision::Bf16, Device::Cuda(0)).unwrap();
        if !computes_bf16(Device::Cpu) {
            let error = require(Precision::Bf16, Device::Cpu).unwrap_err().to_string();
            assert!(error.contains("`cpu`") && error.contains("avx512_bf16") && error.contains("`precision`"), "{error}");
        }
    }
}
