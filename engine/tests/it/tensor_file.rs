//! Files of `torch.save` made by hand: what PyTorch writes seldom, and what it never would.

use std::fs::{self, File};
use std::path::PathBuf;

use engine::tensor_file::TensorFile;
use tch::Tensor;
use tempfile::TempDir;

/// An archive of these files, none of them compressed.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let size = (content.len() as u32).to_le_bytes();
        // Version, flags, method, time and date; then what both headers have.
        let about = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &crc.sum().to_le_bytes(), &size, &size, &[name.len() as u8, 0, 0, 0]].concat();
        let start = (archive.len() as u32).to_le_bytes();
        directory.extend([b"PK\x01\x02\x14\0".as_slice(), &about, &[0; 10], &start, name.as_bytes()].concat());
        archive.extend([b"PK\x03\x04".as_slice(), &about, name.as_bytes(), content].concat());
    }
    let (count, size, start) = (files.len() as u8, (directory.len() as u32).to_le_bytes(), (archive.len() as u32).to_le_bytes());
    [archive, directory, b"PK\x05\x06\0\0\0\0".to_vec(), vec![count, 0, count, 0], [size, start].concat(), vec![0, 0]].concat()
}

/// A file as PyTorch writes it since 1.6, with a storage of 0, 1, … 9.
fn file(pickle: &[u8]) -> (TempDir, PathBuf) {
    written(&zip(&[("archive/data.pkl", pickle), ("archive/data/0", &numbers())]))
}

/// A file as PyTorch wrote it until 1.5, with a storage of 0, 1, … 9.
fn legacy(pickle: &[u8]) -> (TempDir, PathBuf) {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let system = b"\x80\x02}U\x0dlittle_endian\x88s.";
    let count = 10_u64.to_le_bytes();
    written(&[magic.as_slice(), b"\x80\x02M\xe9\x03.", system, pickle, b"\x80\x02]U\x010a.", &count, &numbers()].concat())
}

fn numbers() -> Vec<u8> {
    (0..10).flat_map(|number| f32::to_le_bytes(number as f32)).collect()
}

fn written(content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.pth");
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// The persistent id of a part of the storage, and the arguments of a tensor in it: two numbers, `stride` apart.
fn tensor(view: &[u8], offset: u8, stride: u8) -> Vec<u8> {
    let storage = [b"((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x0a".as_slice(), view, b"tQ"].concat();
    [&storage[..], &[b'K', offset], b"K\x02\x85", &[b'K', stride], b"\x85\x89}t"].concat()
}

#[track_caller]
fn check((_folder, path): &(TempDir, PathBuf), expected: &[(&str, [f32; 2])]) {
    let file = TensorFile::open(path).unwrap();
    assert_eq!(file.tensors().keys().map(String::as_str).collect::<Vec<_>>(), expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, numbers) in expected {
        assert_eq!(file.read(name).unwrap(), Tensor::from_slice(numbers), "{name}");
    }
}

#[track_caller]
fn check_refused((_folder, path): &(TempDir, PathBuf), part: &str) {
    let error = TensorFile::open(path).unwrap_err().to_string();
    assert!(error.contains(part), "{part}: {error}");
}

#[test]
fn tensors_are_where_storages_and_their_views_say() {
    let rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n".as_slice();
    let pickle = |value: &[u8]| [b"\x80\x02}U\x01w", value, b"s."].concat();
    let plain = pickle(&[rebuild, &tensor(b"", 3, 4), b"R"].concat());
    check(&file(&plain), &[("w", [3.0, 7.0])]);
    check(&legacy(&plain), &[("w", [3.0, 7.0])]);
    // Of a view of the storage: (key, offset, elements).
    let viewed = pickle(&[rebuild, &tensor(b"U\x02v0K\x02K\x06\x87", 1, 1), b"R"].concat());
    check(&legacy(&viewed), &[("w", [3.0, 4.0])]);
    // A parameter of a subclass of Tensor: (function, type, arguments, state).
    let of_type =
        [b"ctorch._tensor\n_rebuild_from_type_v2\n(".as_slice(), rebuild, b"ctorch\nTensor\n", &tensor(b"", 5, 1), b"}tR"].concat();
    let parameter = [b"ctorch._utils\n_rebuild_parameter\n(".as_slice(), &of_type, b"\x89}tR"].concat();
    check(&file(&pickle(&parameter)), &[("w", [5.0, 6.0])]);
    // Conjugated or negated, by the last argument: its numbers would be others.
    let negated = [&tensor(b"", 5, 1)[..tensor(b"", 5, 1).len() - 1], b"}U\x03negI01\nst"].concat();
    let (_folder, path) = file(&pickle(&[rebuild, &negated, b"R"].concat()));
    assert!(TensorFile::open(&path).unwrap().read("w").unwrap_err().to_string().contains("of a type that no network has"));
    // No number lies before the storage.
    let before = pickle(&[rebuild, &tensor(b"U\x02v0J\xfe\xff\xff\xffK\x06\x87", 1, 1), b"R"].concat());
    check(&legacy(&before), &[]);
}

#[test]
fn a_module_whose_class_was_saved_with_its_source_is_read_like_others() {
    let tensor = [b"ctorch._utils\n_rebuild_tensor_v2\n".as_slice(), &tensor(b"", 0, 1), b"R"].concat();
    let class = b"(U\x06modulecnet\nNet\nU\x06net.pyU\x05classtQ";
    let state = [b"}(U\x0b_parameters}U\x01w".as_slice(), &tensor, b"sU\x08_buffers}U\x01b", &tensor, b"sU\x08_modules}u"].concat();
    let pickle = [b"\x80\x02}(U\x03net".as_slice(), class, b"q\x01)\x81", &state, b"bU\x05otherh\x01)\x81u."].concat();
    let file = legacy(&pickle);
    check(&file, &[("net.b", [0.0, 1.0]), ("net.w", [0.0, 1.0])]);
    assert_eq!(TensorFile::open(&file.1).unwrap().values(), [("other".to_owned(), "an object of `net.Net`".to_owned())]);
}

#[test]
fn a_pickle_has_a_most_of_values_and_of_bytes() {
    let nones = |count: usize| [b"\x80\x02(".as_slice(), &b"N".repeat(count), b"t."].concat();
    assert!(TensorFile::open(&file(&nones(7_999_999)).1).is_ok());
    check_refused(&file(&nones(8_000_000)), "of its `data.pkl`, it is no pickle: it has more than 8000000 values");
    // All pickles of a file together.
    let two = [&nones(4_100_000)[..], &nones(4_100_000)].concat();
    check_refused(&legacy(&two), "of its `storage keys`, it is no pickle: it has more than 8000000 values");
    // A length that the directory of an archive declares, 24 bytes into its record.
    let mut declared = zip(&[("archive/data.pkl", b"N.")]);
    let record = declared.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    declared[record + 24..][..4].copy_from_slice(&200_000_000_u32.to_le_bytes());
    check_refused(&written(&declared), "its `archive/data.pkl` has 200000000 bytes; at most 104857600 are read");
    // A text of 110 MB in a file with that many zeros.
    let (folder, path) = legacy(b"");
    let header = fs::read(&path).unwrap();
    let before = header.len() - b"\x80\x02]U\x010a.".len() - 48;
    fs::write(&path, [&header[..before], b"\x80\x02T", &110_000_000_u32.to_le_bytes()].concat()).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(200_000_000).unwrap();
    check_refused(&(folder, path), "of its `object`, it is no pickle: it has more than 104857600 bytes");
    check_refused(&legacy(b"\x80\x02T\xff\xff\xff\x7f"), "of its `object`, it ends in the middle of a pickle: it is cut off");
}

/// The most memory that this process has had, in MB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1000
}

#[test]
fn what_a_file_names_again_and_again_is_not_copied() {
    let before = peak_memory();
    let often = |first: &[u8], each: &[u8]| [first, &each.repeat(30_000)].concat();
    // A list of pairs, memoized with a tuple of it, and as many sets and dictionaries that are made of the list.
    let list = [often(b"\x80\x02](", b"NN\x86"), b"e\x85q\x01".to_vec()].concat();
    let sets = often(b"c__builtin__\nset\nq\x02](", b"h\x02h\x01R");
    let dicts = often(b"ccollections\nOrderedDict\nq\x02](", b"h\x02h\x01R");
    // A dictionary with a key of a megabyte, as often.
    let names = often(&[b"\x80\x02}(X\0\0\x10\0".as_slice(), &[b'k'; 1 << 20], b"q\x01N"].concat(), b"h\x01N");
    for pickle in [[&list[..], &sets, b"e."].concat(), [&list[..], &dicts, b"e."].concat(), [&names[..], b"u."].concat()] {
        assert!(TensorFile::open(&file(&pickle).1).unwrap().tensors().is_empty());
    }
    // A copy for each would be 4 GB of lists, 7 GB of pairs and 30 GB of names. Other tests run beside this one.
    let taken = peak_memory() - before;
    assert!(taken < 2000, "{taken} MB");
}

#[test]
fn however_deep_calls_are_in_each_other_and_whatever_holds_itself_a_file_is_read() {
    for class in ["c__builtin__\nset\n", "ctorch._utils\n_rebuild_parameter\n"] {
        let deep =
            [b"\x80\x02N".as_slice(), &[class.as_bytes(), b"q\x010"].concat(), &b"\x85q\x020h\x01h\x02R".repeat(1_000_000), b"."].concat();
        assert!(TensorFile::open(&file(&deep).1).unwrap().tensors().is_empty());
    }
    // A module that is its own submodule, with a tensor.
    let tensor = [b"ctorch._utils\n_rebuild_tensor_v2\n".as_slice(), &tensor(b"", 0, 1), b"R"].concat();
    let state = [b"}(U\x0b_parameters}U\x01w".as_slice(), &tensor, b"sU\x08_modules}U\x04selfh\x01su"].concat();
    check(&file(&[b"\x80\x02cnet\nNet\n)\x81q\x01", &state[..], b"b."].concat()), &[("w", [0.0, 1.0])]);
}
