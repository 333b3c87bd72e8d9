//! `web health` and `worker health`: the question of an image's health check to the program that runs
//! beside it. It needs no shell and no curl in the image, and knows the address from the same setting.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// How long connecting, asking and answering may take, each.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first line of an answer is far shorter.
const LONGEST_LINE: u64 = 256;

/// Why the program does not count as alive.
#[derive(Debug, thiserror::Error)]
enum Sick {
    #[error("{0} does not answer: {1}")]
    Silent(SocketAddr, io::Error),
    #[error("{0}/livez answers {1:?}")]
    Unwell(SocketAddr, String),
}

/// Asks the program that listens on `address` whether it is alive: success means that it says so.
pub fn check(address: SocketAddr) -> ExitCode {
    match ask(within_reach(address)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sick) => crate::complain(&sick.into()),
    }
}

/// A program that listens on every address is asked on loopback.
fn within_reach(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn ask(address: SocketAddr) -> Result<(), Sick> {
    let answer = first_line(address).map_err(|error| Sick::Silent(address, in_words(error)))?;
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(Sick::Unwell(address, answer.trim_end().to_owned())),
    }
}

/// On Unix a read that took too long is a "resource temporarily unavailable".
fn in_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

fn first_line(address: SocketAddr) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_write_timeout(Some(PATIENCE))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(connection, "GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(connection.take(LONGEST_LINE)).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A program that answers one question with `answer`.
    fn program(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let question: Vec<String> =
                lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            assert_eq!(question[0], "GET /livez HTTP/1.1");
            connection.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn a_program_that_says_so_is_alive() {
        assert!(ask(program("HTTP/1.1 200 OK\r\n\r\n")).is_ok());
    }

    #[test]
    fn a_program_that_answers_anything_else_is_not() {
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "220 mail.example.org", ""] {
            assert!(matches!(ask(program(answer)), Err(Sick::Unwell(..))), "{answer}");
        }
    }

    #[test]
    fn a_program_that_is_gone_is_not_alive() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(ask(address), Err(Sick::Silent(..))));
    }

    #[test]
    fn a_program_that_listens_everywhere_is_asked_on_loopback() {
        let table =
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("10.0.0.1:80", "10.0.0.1:80")];
        for (listens, asked) in table {
            assert_eq!(within_reach(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
