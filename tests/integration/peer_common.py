"""What the test peers share: throw-away certificates, an echo server, a CONNECT proxy, and the way they talk to the test.

A peer prints `port N [ca FILE]` when it listens, then one line for each thing it saw. It ends with its parent's pipe."""
import asyncio
import logging
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

KEY = "k3y-for-tests_0123456789"
_made = []


logging.getLogger("websockets").setLevel(logging.CRITICAL)


def say(*words):
    try:
        print(*words, flush=True)
    except BrokenPipeError:
        pass  # the test has seen enough


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def tls_context(kind):
    """good: names 127.0.0.1 and localhost; host: names another; expired; self: signed by itself, not by the CA."""
    d = tempfile.mkdtemp(prefix="pgd-tls-")
    _made.append(d)
    names = "DNS:elsewhere.test" if kind == "host" else "IP:127.0.0.1,DNS:localhost"
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    ca, ca_key, cert, key = (os.path.join(d, n) for n in ("ca.pem", "ca.key", "cert.pem", "cert.key"))
    _openssl("req", "-x509", *ec, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=test authority")
    if kind == "self":
        _openssl("req", "-x509", *ec, "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                 "-addext", "subjectAltName=" + names)
    else:
        csr, ext = os.path.join(d, "csr"), os.path.join(d, "ext")
        with open(ext, "w") as f:
            f.write("subjectAltName=%s\n" % names)
        _openssl("req", *ec, "-keyout", key, "-out", csr, "-subj", "/CN=test server")
        _openssl("x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", cert,
                 "-days", "0" if kind == "expired" else "2", "-extfile", ext)
        if kind == "expired":
            time.sleep(1.1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, ca


def ready(port, ca=None):
    say("port", port, *(("ca", ca) if ca else ()))


def run(main):
    """Runs coroutine `main` until the parent goes away."""
    async def with_parent():
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        task = asyncio.ensure_future(main())
        gone = asyncio.ensure_future(reader.read())
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    try:
        asyncio.run(with_parent())
    finally:
        for d in _made:
            shutil.rmtree(d, ignore_errors=True)


async def _pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def echo_server(context):
    return await asyncio.start_server(_pump, "127.0.0.1", 0, ssl=context)


async def proxy_server():
    async def serve(reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n")[0].split(b" ")
            say("proxy", method.decode(), target.decode(), "key" if KEY.encode() in head else "nokey")
            host, port = target.decode().rsplit(":", 1)
            up_reader, up_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        except (OSError, ValueError, asyncio.IncompleteReadError):
            writer.close()
    return await asyncio.start_server(serve, "127.0.0.1", 0)


def port_of(server):
    return server.sockets[0].getsockname()[1]
