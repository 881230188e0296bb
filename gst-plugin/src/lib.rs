//! The divien engine and its GStreamer element `divienenc`.
