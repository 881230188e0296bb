#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstdivien::fuzz::control_of_coordinator(bytes));
