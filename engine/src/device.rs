//! Where tensors live: the CPU, or a GPU where the machine and its libtorch have one.
//!
//! The worker is linked against the CPU part of libtorch alone, so that one binary serves every machine. The CUDA part announces itself
//! to libtorch when it is loaded, which has to happen before the first tensor is made.

use std::ffi::{CStr, c_char, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::os::unix::Library;
use shared::api;
use tch::{Cuda, Device};

use crate::Error;

/// The version of this crate, as records and sidecars name it.
pub const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// Finds the device a configuration names: `auto`, `cpu` or `cuda:N`.
pub fn choose(name: &str) -> Result<Device, Error> {
    let unusable = |reason: String| Error::Device { device: name.to_owned(), reason };
    let Some(index) = name.strip_prefix("cuda:") else {
        return match name {
            "cpu" => Ok(Device::Cpu),
            "auto" if matches!(cuda_devices(), Ok(1..)) => Ok(Device::Cuda(0)),
            "auto" => Ok(Device::Cpu),
            _ => Err(unusable("it is none of `auto`, `cpu`, `cuda:0`".to_owned())),
        };
    };
    let index: usize = index.parse().map_err(|_| unusable(format!("`{index}` is no number")))?;
    match cuda_devices() {
        Ok(count) if index < *count => Ok(Device::Cuda(index)),
        Ok(0) => Err(unusable("libtorch sees no CUDA device; is a driver installed?".to_owned())),
        Ok(count) => Err(unusable(format!("the machine has {count}, counted from `cuda:0`"))),
        Err(reason) => Err(unusable(reason.clone())),
    }
}

/// The device as configurations name it.
pub fn id(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// The device as its maker calls it, or the number of CPU threads.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => gpu_name(index).unwrap_or_else(|| format!("CUDA device {index}")),
        _ => {
            let threads = tch::get_num_threads();
            format!("{threads} CPU thread{}", if threads == 1 { "" } else { "s" })
        }
    }
}

/// What this worker can run on.
pub fn probe() -> api::Probe {
    let gpus = (0..*cuda_devices().as_ref().unwrap_or(&0)).map(Device::Cuda);
    let devices = gpus
        .chain([Device::Cpu])
        .map(|device| api::Device { id: id(device), name: name(device), memory_bytes: memory_bytes(device) })
        .collect();
    api::Probe { engine: ENGINE.to_owned(), libtorch: libtorch_version(), devices }
}

/// The version of the libtorch that is loaded, such as `2.11.0`.
pub fn libtorch_version() -> String {
    // SAFETY: the symbol is declared in libtorch's stable C interface with this signature since 2.9.
    let packed = unsafe { Library::this().get::<unsafe extern "C" fn() -> u64>(b"aoti_torch_abi_version\0").map(|version| version()) };
    match packed {
        Ok(packed) => {
            let [major, minor, patch, ..] = packed.to_be_bytes();
            format!("{major}.{minor}.{patch}")
        }
        Err(_) => "unknown".to_owned(),
    }
}

/// The number of CUDA devices, or why there can be none.
fn cuda_devices() -> &'static Result<usize, String> {
    static DEVICES: OnceLock<Result<usize, String>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let path = beside_libtorch_cpu("libtorch_cuda.so").ok_or("this libtorch is without CUDA: it has no libtorch_cuda.so")?;
        load_for_good(&path).map_err(|error| format!("CUDA cannot be loaded: {error}"))?;
        Ok(usize::try_from(Cuda::device_count()).unwrap_or(0))
    })
}

fn load_for_good(path: &Path) -> Result<(), libloading::Error> {
    // SAFETY: it is the companion of the libtorch this process is linked against; loading it runs its own registration only.
    let library = unsafe { Library::open(Some(path), libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL)? };
    // What it registered points into it.
    std::mem::forget(library);
    Ok(())
}

/// A library in the folder that libtorch_cpu was loaded from; another version's would not fit.
fn beside_libtorch_cpu(library: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let cpu = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..])).find(|path| path.ends_with("/libtorch_cpu.so"))?;
    Some(Path::new(cpu).with_file_name(library)).filter(|path| path.exists())
}

/// What the CUDA driver calls a device.
fn gpu_name(index: usize) -> Option<String> {
    let mut name = [0 as c_char; 256];
    // SAFETY: the function is of the driver's documented C interface; the name is terminated within the length given.
    unsafe {
        let (driver, device) = gpu(index)?;
        let get_name = driver.get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(b"cuDeviceGetName\0").ok()?;
        let found = get_name(name.as_mut_ptr(), name.len() as c_int, device) == 0;
        found.then(|| CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
}

/// All the memory of a GPU.
fn memory_bytes(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    let mut bytes = 0_usize;
    // SAFETY: the function is of the driver's documented C interface, with this signature since CUDA 3.2.
    unsafe {
        let (driver, device) = gpu(index)?;
        let total = driver.get::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>(b"cuDeviceTotalMem_v2\0").ok()?;
        (total(&mut bytes, device) == 0).then_some(bytes as u64)
    }
}

/// The CUDA driver, and its handle of a device.
fn gpu(index: usize) -> Option<(Library, c_int)> {
    // SAFETY: loading the driver runs its own initialization only; both functions are of its documented C interface.
    unsafe {
        let driver = Library::new("libcuda.so.1").ok()?;
        let init = driver.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0").ok()?;
        let get = driver.get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0").ok()?;
        let mut device = 0;
        let found = init(0) == 0 && get(&mut device, index as c_int) == 0;
        found.then_some((driver, device))
    }
}
