//! Addresses as people see them.

/// The address without its password. Terminals are looked at by others, and what they print ends up in tickets.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let host_begins = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(host_begins);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{name}@{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_is_left_out() {
        for (url, shown, reason) in [
            ("postgres://a:secret@127.0.0.1:1/b", "postgres://a@127.0.0.1:1/b", "a database"),
            ("amqp://a:secret@127.0.0.1:1/%2f", "amqp://a@127.0.0.1:1/%2f", "a virtual host"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "no user"),
            ("http://127.0.0.1:8000/a:b@c", "http://127.0.0.1:8000/a:b@c", "a path is no password"),
        ] {
            assert_eq!(without_password(url), shown, "{reason}");
        }
    }
}
