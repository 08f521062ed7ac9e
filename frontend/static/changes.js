// One stream of changes for all tabs: browsers open six connections to a host, and a stream holds one for as long as it is open. This is a
// shared worker. A tab says `follow` while it is in sight and shows runs, and `leave` when it no longer does; it is told `open` when the
// stream is, `lost` when it is not, and the data of each event. What it missed before an `open` it asks the server.
const REOPEN_AFTER_MS = 3000;

const following = new Set();
let source = null;
let reopening;

const tell = message => following.forEach(port => port.postMessage(message));

function update() {
  clearTimeout(reopening);
  if (following.size === 0) {
    source?.close();
    source = null;
  } else if (source === null) {
    source = new EventSource("api/changes");
    source.onopen = () => tell("open");
    source.onmessage = event => tell(event.data);
    source.onerror = () => {
      tell("lost");
      // The browser opens it again by itself, unless the server refused it.
      if (source?.readyState === EventSource.CLOSED) {
        source = null;
        reopening = setTimeout(update, REOPEN_AFTER_MS);
      }
    };
  }
}

function leave(port) {
  following.delete(port);
  update();
}

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data !== "follow") return leave(port);
    following.add(port);
    if (source?.readyState === EventSource.OPEN) port.postMessage("open");
    update();
  };
  // Of a tab that crashed; not all browsers tell.
  port.onclose = () => leave(port);
};
