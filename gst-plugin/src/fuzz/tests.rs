//! Everything that was worth keeping, tried again.

use std::path::Path;

/// Its name is that of its folder in the corpus.
macro_rules! replays {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(stringify!($target));
            let mut count = 0;
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                println!("{}", path.display());
                super::$target(&std::fs::read(path).unwrap());
                count += 1;
            }
            assert!(count > 0, "nothing in {}", folder.display());
        }
    )*};
}

replays!(frames, control_of_coordinator, control_of_worker, inputs, results, formats, units, texts, token);
