//! Finds the URLs that need no TLS. TLS is not compiled in, so a server asked for it would
//! look down for ever.

use tokio_postgres::{
    Config,
    config::{ChannelBinding, SslMode, SslNegotiation},
};

/// Why a text is no database URL. Does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// The client cannot parse it.
    #[error("must be a URL such as postgres://user:password@host:5432/name")]
    Malformed,
    /// It demands TLS, or an option of TLS is unknown.
    #[error(
        "TLS is not supported by this build: sslmode must be disable or prefer, and no other option may ask for TLS"
    )]
    Tls,
}

/// Parses a URL or key-value string that demands no TLS.
pub(super) fn read_plain(text: &str) -> Result<Config, DatabaseUrlError> {
    match text.parse::<Config>() {
        Ok(config) if demands_tls(&config) => Err(DatabaseUrlError::Tls),
        Ok(config) if !config.get_hosts().is_empty() => Ok(config),
        // The client knows neither verify-full nor sslrootcert.
        Err(_) if names_tls(text) => Err(DatabaseUrlError::Tls),
        Ok(_) | Err(_) => Err(DatabaseUrlError::Malformed),
    }
}

fn demands_tls(config: &Config) -> bool {
    let (mode, negotiation) = (config.get_ssl_mode(), config.get_ssl_negotiation());
    mode == SslMode::Require
        || (mode != SslMode::Disable && negotiation == SslNegotiation::Direct)
        || config.get_channel_binding() == ChannelBinding::Require
}

/// Whether an invalid URL has an option that demands TLS.
fn names_tls(text: &str) -> bool {
    let is_plain = |option: &str| ["sslmode=disable", "sslmode=prefer"].contains(&option);
    text.split(['?', '&', ' ']).any(|option| option.starts_with("ssl") && !is_plain(option))
}

#[cfg(test)]
mod tests {
    use super::{DatabaseUrlError, read_plain};

    #[test]
    fn addresses_that_demand_tls_are_told_from_malformed_ones() {
        const TLS: Option<DatabaseUrlError> = Some(DatabaseUrlError::Tls);
        const MALFORMED: Option<DatabaseUrlError> = Some(DatabaseUrlError::Malformed);
        let cases = [
            ("postgres://a:b@h/a", None, "no word about TLS"),
            ("postgres://a:b@h/a?sslmode=disable", None, "no TLS"),
            ("postgres://a:b@h/a?sslmode=prefer", None, "TLS where it can be had"),
            ("postgres://a:sslmode@h/a", None, "a password"),
            ("postgres://a:b@h/a?sslmode=disable&sslnegotiation=direct", None, "disable wins"),
            ("host=h user=a sslmode=prefer", None, "keys and values"),
            ("postgres://a:b@h/a?sslmode=require", TLS, "TLS"),
            ("postgres://a:b@h/a?sslmode=verify-ca", TLS, "a word that the client does not know"),
            ("postgres://a:b@h/a?sslmode=verify-full&sslrootcert=/ca.pem", TLS, "an unknown option as well"),
            ("postgres://a:b@h/a?sslrootcert=/ca.pem", TLS, "only the certificate"),
            ("postgres://a:b@h/a?sslmode=always", TLS, "no such word"),
            ("postgres://a:b@h/a?sslnegotiation=direct", TLS, "prefer cannot be direct"),
            ("postgres://a:b@h/a?channel_binding=require", TLS, "a binding to TLS"),
            ("host=h user=a sslmode=verify-full", TLS, "keys and values"),
            ("postgres://a:b@h/a?sslmode=prefer&x=y", MALFORMED, "another option"),
            ("postgres://a:b@h/a?x=y", MALFORMED, "an unknown option"),
            ("", MALFORMED, "nothing"),
        ];
        for (text, expected, reason) in cases {
            assert_eq!(read_plain(text).err(), expected, "{text}: {reason}");
        }
    }
}
