//! Compiles `shim`, which reaches what tch leaves out of libtorch, and writes the folder of libtorch into the programs
//! that are linked to it, so that they start in any shell.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let library = PathBuf::from(env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names the folder of libtorch"));
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());

    let include =
        env::var_os("LIBTORCH_INCLUDE").map_or_else(|| library.with_file_name("include"), |home| Path::new(&home).join("include"));
    // The second folder has the headers that programs without Python use.
    let api = include.join("torch/csrc/api/include");
    compiler(&[include.clone(), api]).files(["shim/shim.cpp", "shim/norm_relu.cpp"]).compile("crosslens_shim");

    let made = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("cuda_graph.so");
    match cuda_headers(&library, &include) {
        Some(headers) => compile_cuda_graph(&[vec![include], headers].concat(), &made),
        // A worker without graphs.
        None => fs::write(&made, "").expect("OUT_DIR can be written"),
    }
}

fn compiler(include: &[PathBuf]) -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).pic(true).std("c++17").warnings(false).includes(include);
    build
}

/// Links against nothing: the library is opened in a process that has loaded libtorch_cuda.
fn compile_cuda_graph(include: &[PathBuf], made: &Path) {
    let mut command = compiler(include).get_compiler().to_command();
    let status = command.args(["-shared", "shim/cuda_graph.cpp", "-o"]).arg(made).status();
    assert!(status.is_ok_and(|status| status.success()), "shim/cuda_graph.cpp does not compile");
}

/// Returns where the headers of CUDA's runtime lie: beside the libtorch of PyPI, or in CUDA's own folder. `None` if a
/// part is missing, or if this libtorch has no CUDA.
fn cuda_headers(library: &Path, include: &Path) -> Option<Vec<PathBuf>> {
    let beside = library.ancestors().nth(2).map(|packages| packages.join("nvidia/cu13/include"));
    let own = env::var_os("CUDA_HOME").map_or_else(|| PathBuf::from("/usr/local/cuda"), PathBuf::from).join("include");
    let has = |folder: &PathBuf| folder.join("cuda_runtime_api.h").exists() && folder.join("crt/host_defines.h").exists();
    let found = beside.into_iter().chain([own]).find(has)?;
    include.join("c10/cuda").exists().then(|| vec![found])
}
