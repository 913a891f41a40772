//! The HTTP server: as `actix_web::HttpServer` puts it together, but for `ClientStream` between socket and parser.

use std::{fmt::Debug, io, net::SocketAddr, time::Duration};

use actix_http::{HttpServiceBuilder, Request, Response, error::DispatchError};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{AppConfig, Extensions, Server, Service, ServiceFactory, fn_service},
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::client_stream::ClientStream;
use crate::settings::Settings;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long a client may take to hear that its connection ends.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Listens, and serves `app` until `shutdown` is cancelled. The requests under way then have `drain_secs` to finish.
///
/// # Errors
/// The address cannot be listened on.
pub fn listen<F, I, S, B>(
    settings: &Settings,
    drain_secs: u64,
    app: F,
    shutdown: &CancellationToken,
) -> io::Result<(Server, SocketAddr)>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let address = SocketAddr::new(settings.bind, settings.port);
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let address = listener.local_addr()?;
    let draining = shutdown.clone();
    let keep_alive = Duration::from_secs(settings.keep_alive_s);
    let serve = move || {
        let app = app().into_factory().map_err(|error| error.into().error_response());
        let draining = draining.clone();
        let http = HttpServiceBuilder::default()
            .keep_alive(keep_alive)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || draining.clone().cancelled_owned())
            .on_connect_ext(|stream: &ClientStream, data: &mut Extensions| {
                data.insert(stream.closed());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(async |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            Ok::<_, DispatchError>((ClientStream::new(stream), peer))
        })
        .and_then(http)
    };
    let server = Server::build()
        .workers(settings.http_workers)
        .shutdown_timeout(drain_secs)
        .disable_signals()
        .shutdown_signal(shutdown.clone().cancelled_owned())
        .listen("http", listener, serve)?;
    Ok((server.run(), address))
}
