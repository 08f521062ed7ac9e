//! Pickles of every protocol as data, and what cannot be read of them.

use datasets::pickle::{Id, Node, Object, Pickle, PickleError};

const MOST: usize = 1000;

fn read(bytes: &[u8]) -> Pickle<'_> {
    Pickle::read(bytes, MOST).unwrap()
}

/// What a pickle holds, in words.
#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    let pickle = read(bytes);
    assert_eq!(pickle.describe(pickle.root()), expected, "{}", bytes.escape_ascii());
}

#[track_caller]
fn check_damaged(bytes: &[u8], part: &str) {
    let error = Pickle::read(bytes, MOST).unwrap_err();
    assert!(matches!(&error, PickleError::Damaged(problem) if problem.contains(part)), "{}: {error}", bytes.escape_ascii());
}

#[test]
fn numbers_and_texts_are_read_however_a_protocol_writes_them() {
    for (bytes, expected) in [
        (b"N.".as_slice(), "None"),
        (b"I01\n.", "True"),
        (b"\x89.", "False"),
        (b"I-7\r\n.", "-7"),
        (b"L123456789012L\n.", "123456789012"),
        (b"L99999999999999999999L\n.", "a whole number of more than 64 bits"),
        (b"J\xfe\xff\xff\xff.", "-2"),
        (b"M\x00\x01.", "256"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x02\x00\x80.", "-32768"),
        (b"\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "a whole number of more than 64 bits"),
        (b"F2.0\n.", "2.0"),
        (b"G\x3f\xe0\x00\x00\x00\x00\x00\x00.", "0.5"),
        (b"S'a\\x62\\143\\''\n.", "`abc\\'`"),
        (b"U\x02ab.", "`ab`"),
        (b"\x80\x03C\x01\xff.", "`\\xff`"),
        (b"Vsp\xe4\\u00dfe \n.", "`späße `"),
        ("X\x03\0\0\0日.".as_bytes(), "`日`"),
        (b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", "`a`"),
        (b"(K\x01K\x02lp0\n.", "a list of 2"),
        (b"(K\x01K\x02t.", "a tuple of 2"),
        (b"K\x01\x85.", "a tuple of 1"),
        (b"}.", "an empty dictionary"),
        (b"(U\x01aK\x01I1\nI2\nd.", "a dictionary with `a` …"),
        (b"(I1\nI2\nd.", "a dictionary of 1"),
        (b"cos\nmkdir\n.", "`os.mkdir`"),
        (b"\x8c\x02os\x8c\x05mkdir\x93(U\x01xtR.", "an object made by `os.mkdir`"),
        (b"cos\nmkdir\n)R)R.", "an object"),
        (b"(ios\nmkdir\n.", "an object made by `os.mkdir`"),
        (b"ccollections\nOrderedDict\n((U\x01aK\x01ltR.", "a dictionary of 2"),
        (b"ccollections\nOrderedDict\n]U\x01aK\x01\x86a\x85RU\x01bK\x02s.", "a dictionary with `a`, `b`"),
        (b"P7\n.", "an object that lies outside the file"),
        (b"\x97.", "a buffer that was written outside the file"),
        (b"\x82\x01.", "an object that only the program that wrote the file knows"),
    ] {
        check(bytes, expected);
    }
    let long = [b"X\x64\0\0\0".as_slice(), &[b'x'; 100], b"."].concat();
    check(&long, &format!("`{}…`", "x".repeat(40)));
}

#[test]
fn an_object_keeps_all_that_would_have_been_done_to_it() {
    let pickle = read(b"(cmodule\nClass\nK\x05oK\x06a(K\x07K\x08eU\x01kK\x09sU\x05stateb.");
    let (class, args, Object { state, items, pairs, .. }) = pickle.call(pickle.root()).unwrap();
    let shown = |ids: &[Id]| ids.iter().map(|id| pickle.describe(*id)).collect::<Vec<_>>().join(" ");
    assert_eq!((class, shown(args), shown(items)), (("module", "Class"), "5".to_owned(), "6 7 8".to_owned()));
    assert_eq!((shown(&[pairs[0].0, pairs[0].1]), shown(state.as_slice())), ("`k` 9".to_owned(), "`state`".to_owned()));
    // What is called by name is left out, and what a persistent id names is not looked for.
    let pickle = read(b"\x80\x04cmodule\nClass\nK\x05\x85}\x92(U\x07storageK\x03tQ\x86.");
    let [object, kept] = pickle.items(pickle.root()).unwrap() else { panic!("{pickle:?}") };
    let Node::Persistent(id) = pickle.node(*kept) else { panic!("{pickle:?}") };
    assert_eq!((pickle.call(*object).unwrap().1.len(), pickle.items(*id).unwrap().len()), (1, 2));
}

#[test]
fn pickles_in_a_row_are_read_one_by_one() {
    let mut rest = b"\x80\x02K\x01.\x80\x02K\x02.numbers".as_slice();
    for expected in ["1", "2"] {
        let pickle = read(rest);
        assert_eq!(pickle.describe(pickle.root()), expected);
        rest = &rest[pickle.size_bytes()..];
    }
    assert_eq!(rest, b"numbers");
}

#[test]
fn what_is_cut_off_is_told_from_what_is_damaged() {
    let whole =
        b"\x80\x04\x95\x40\0\0\0\0\0\0\0}(X\x01\0\0\0a\x8c\x02os\x8c\x05mkdir\x93)RV\\u0061\nI5\n\x8b\x01\0\0\0\x07G\0\0\0\0\0\0\0\0u.";
    for length in 0..whole.len() {
        let cut = Pickle::read(&whole[..length], MOST);
        assert!(matches!(cut, Err(PickleError::CutOff)), "{length}: {cut:?}");
    }
    check(whole, "a dictionary with `a`, `a` …");
    // More bytes than any file has.
    let declared = [b"\x8e".as_slice(), &u64::MAX.to_le_bytes(), b"a."].concat();
    assert!(matches!(Pickle::read(&declared, MOST), Err(PickleError::CutOff)));
    assert!(matches!(Pickle::read(b"\x80\x06N.", MOST), Err(PickleError::Protocol(6))));
    check_damaged(b"~", "no pickle has the instruction 0x7e");
    check_damaged(b".", "its stack is too short");
    check_damaged(b"t.", "a mark is missing");
    check_damaged(b"h\x07.", "it recalls 7, which it has not made");
    check_damaged(b"Fone\n.", "`one` is no number");
    check_damaged(b"(o.", "an object has no class");
    check_damaged(b"NN\x93.", "a class has no name");
    check_damaged(b"NNa.", "it appends to something that is no list");
    check_damaged(b")Na.", "it appends to something that is no list");
    check_damaged(b"NNNs.", "it sets the key of something that is no dictionary");
    check_damaged(b"}(NNNu.", "a key has no value");
    // Below a mark, Python reaches nothing.
    check_damaged(b"N(.", "its stack is too short");
    check_damaged(b"NN(\x86.", "its stack is too short");
    check_damaged(b"N(q\x01.", "its stack is too short");
    check(b"K\x01(N002.", "1");
}

#[test]
fn there_are_no_more_values_than_asked_for_however_they_come() {
    let check = |bytes: &[u8]| {
        assert!(Pickle::read(bytes, 10).is_ok());
        let error = Pickle::read(bytes, 9).unwrap_err();
        assert!(matches!(error, PickleError::TooManyValues { most: 9 }), "{}: {error}", bytes.escape_ascii());
    };
    check(b"NNNNNNNNNN.");
    check(b"NNNNNN)))).");
    check(b"N((((((((((0000000000.");
    check(b"N\x94\x94\x94\x94\x94\x94\x94\x94\x94\x94.");
    // Two arguments and their tuple, two names and the class, the object; then a persistent id.
    check(b"(NNicc\ncc\nP1\n0N.");
}

#[test]
fn a_value_that_is_named_often_or_inside_itself_is_kept_once() {
    // A list that holds itself a thousand times is one value.
    let bytes = [b"]q\0(".as_slice(), &b"h\0".repeat(1000), b"e."].concat();
    let pickle = Pickle::read(&bytes, 1).unwrap();
    assert_eq!(pickle.items(pickle.root()), Some([pickle.root()].repeat(1000).as_slice()));
    assert_eq!(pickle.describe(pickle.root()), "a list of 1000");
    // Two thousand names of a megabyte are one text.
    let name = "n".repeat(1 << 20);
    let named =
        [b"\x8d".as_slice(), &(name.len() as u64).to_le_bytes(), name.as_bytes(), b"q\0(", &b"h\0h\0\x93".repeat(1000), b"l."].concat();
    let pickle = Pickle::read(&named, 2000).unwrap();
    let classes = pickle.items(pickle.root()).unwrap();
    assert_eq!(pickle.global(classes[999]), Some((name.as_str(), name.as_str())));
    assert!(pickle.describe(classes[999]).len() < 1000);
}
