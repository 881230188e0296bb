//! What may come when.

use super::super::message::{End, Lost, Software, Start, Wanted, Welcome};
use super::*;

fn push(to: &mut impl FnMut(Bytes), messages: &[Message]) {
    for message in messages {
        message.write().unwrap().into_iter().for_each(&mut *to);
    }
}

fn hello(minor: u16) -> Message {
    let software = vec![Software { name: "x264enc".into(), version: "164".into() }];
    Message::Hello(Hello { minor, instance: [5; 16], name: "attic".into(), slots: 1, cores: 2, memory: 0, software })
}

fn format(id: u32) -> Message {
    Message::Format(Format {
        id,
        encoder: "x264enc".into(),
        threads: 0,
        input: "video/x-raw".into(),
        decoder: None,
        filter: String::new(),
        frame_caps: None,
        output: "ANY".into(),
        lead_in: 0,
    })
}

fn fit(format: u32) -> Message {
    Message::Fit(Fit { format, software: Vec::new(), digest: [0; 32] })
}

fn begin() -> Message {
    let wanted = Wanted { start: Some(Start::Clean), frames: Vec::new(), context: Vec::new() };
    Message::Begin(Begin { chunk: 0, format: 0, is_first: true, wanted: Some(wanted) })
}

fn unit(media: &'static [u8]) -> Message {
    Message::Unit(Unit::default(), Bytes::from_static(media))
}

/// What both sides make of these units.
fn tally(units: &[Message]) -> Count {
    let mut tally = Tally::default();
    for unit in units {
        tally.add(&unit.write().unwrap());
    }
    tally.count()
}

fn end(units: &[Message]) -> Message {
    Message::End(End { tally: tally(units) })
}

fn head() -> Message {
    Message::Head(Head { caps: "video/x-h264".into(), segment_start: 0 })
}

fn done(units: &[Message]) -> Message {
    Message::Done(Done { tally: tally(units), frames: 0, tags: None, lost: Lost::default() })
}

/// The names of what came, and the error that ended it.
fn control(mut control: Control, messages: &[Message]) -> (usize, Option<ProtocolError>) {
    push(&mut |bytes| control.push(bytes), messages);
    let mut count = 0;
    loop {
        match control.next_message() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

#[test]
fn a_worker_introduces_itself_first() {
    for message in [fit(0), Message::Drain, Message::Welcome(Welcome { minor: 0 }), begin()] {
        let name = message.name();
        let told = control(Control::of_coordinator(), &[message]);
        assert_eq!(told, (0, Some(ProtocolError::Unexpected(name))));
    }
    assert_eq!(control(Control::of_coordinator(), &[hello(0), Message::Drain]), (2, None));
    assert_eq!(
        control(Control::of_coordinator(), &[hello(0), hello(0)]),
        (1, Some(ProtocolError::Unexpected("Hello")))
    );
}

#[test]
fn both_keep_to_the_older_version() {
    let mut coordinator = Control::of_coordinator();
    push(&mut |bytes| coordinator.push(bytes), &[hello(MINOR + 9)]);
    assert!(matches!(coordinator.next_message(), Ok(Some(Received::Hello(_, MINOR)))));
    let later = Message::Welcome(Welcome { minor: MINOR + 1 });
    assert_eq!(control(Control::of_worker(), &[later]), (0, Some(ProtocolError::Unexpected("Welcome"))));
}

#[test]
fn formats_are_answered_once_each() {
    let mut coordinator = Control::of_coordinator();
    coordinator.ask(4);
    let told = control(coordinator, &[hello(0), fit(4), fit(4)]);
    assert_eq!(told, (2, Some(ProtocolError::Unexpected("Fit"))));
    let welcome = Message::Welcome(Welcome { minor: 0 });
    let told = control(Control::of_worker(), &[welcome, format(1), format(2), format(1)]);
    assert_eq!(told, (3, Some(ProtocolError::Unexpected("Format"))));
}

#[test]
fn nothing_follows_a_goodbye() {
    let goodbye = Message::Goodbye(Goodbye::Refused("x264 163".into()));
    assert_eq!(control(Control::of_worker(), std::slice::from_ref(&goodbye)), (1, None));
    let welcome = Message::Welcome(Welcome { minor: 0 });
    let told = control(Control::of_worker(), &[welcome, goodbye, format(0)]);
    assert_eq!(told, (2, Some(ProtocolError::Unexpected("Format"))));
}

fn inputs(messages: &[Message]) -> Result<usize, ProtocolError> {
    let mut inputs = Inputs::default();
    push(&mut |bytes| inputs.push(bytes), messages);
    let mut count = 0;
    while inputs.next_message()?.is_some() {
        count += 1;
    }
    inputs.end()?;
    Ok(count)
}

#[test]
fn an_attempt_begins_has_its_units_and_ends() {
    let units = [unit(b"one"), unit(b"two")];
    let [one, two] = units.clone();
    assert_eq!(inputs(&[begin(), one.clone(), two.clone(), end(&units)]), Ok(4));
    assert_eq!(inputs(&[begin(), end(&[])]), Ok(2));
    assert_eq!(inputs(std::slice::from_ref(&one)), Err(ProtocolError::Unexpected("Unit")));
    assert_eq!(inputs(&[begin(), begin()]), Err(ProtocolError::Unexpected("Begin")));
    assert_eq!(inputs(&[begin(), end(&[]), one.clone()]), Err(ProtocolError::Unexpected("Unit")));
    assert_eq!(inputs(&[begin(), one.clone()]), Err(ProtocolError::Early));
    assert_eq!(inputs(&[begin(), head()]), Err(ProtocolError::Unexpected("Head")));
    assert_eq!(inputs(&[begin(), two, one, end(&units)]), Err(ProtocolError::Tally { came: 2, said: 2 }));
}

fn results(messages: &[Message]) -> Result<usize, ProtocolError> {
    let mut results = Results::default();
    push(&mut |bytes| results.push(bytes), messages);
    let mut count = 0;
    while results.next_message()?.is_some() {
        count += 1;
    }
    results.end()?;
    Ok(count)
}

#[test]
fn a_result_is_whole_or_none() {
    let units = [unit(b"one"), unit(b"two")];
    let [one, two] = units.clone();
    let progress = Message::Progress(Progress { frames: 1 });
    assert_eq!(results(&[progress, head(), one.clone(), two, done(&units)]), Ok(5));
    assert_eq!(results(&[done(&[])]), Ok(1));
    assert_eq!(results(std::slice::from_ref(&one)), Err(ProtocolError::Unexpected("Unit")));
    assert_eq!(results(&[head(), one.clone()]), Err(ProtocolError::Early));
    assert_eq!(results(&[head(), one.clone(), done(&units)]), Err(ProtocolError::Tally { came: 1, said: 2 }));
    assert_eq!(results(&[head(), head()]), Err(ProtocolError::Unexpected("Head")));
    assert_eq!(results(&[done(&[]), one]), Err(ProtocolError::Unexpected("Unit")));
}

#[test]
fn nothing_is_taken_after_what_does_not_belong_there() {
    let broken = Err(ProtocolError::Unexpected("Drain"));
    let mut control = Control::of_coordinator();
    push(&mut |bytes| control.push(bytes), &[Message::Drain, hello(0)]);
    assert_eq!(
        [control.next_message(), control.next_message()],
        [broken.clone().map(|()| None), broken.clone().map(|()| None)]
    );

    let mut inputs = Inputs::default();
    push(&mut |bytes| inputs.push(bytes), &[begin(), Message::Drain, end(&[])]);
    assert!(inputs.next_message().is_ok_and(|work| work.is_some()));
    assert_eq!(
        [inputs.next_message(), inputs.next_message()],
        [broken.clone().map(|()| None), broken.clone().map(|()| None)]
    );
    assert_eq!(inputs.end(), broken);

    let units = [unit(b"one")];
    let mut results = Results::default();
    push(&mut |bytes| results.push(bytes), &[done(&units), done(&[])]);
    let other = ProtocolError::Tally { came: 0, said: 1 };
    assert_eq!([results.next_message(), results.next_message()], [Err(other.clone()), Err(other.clone())]);
    assert_eq!(results.end(), Err(other));
}
