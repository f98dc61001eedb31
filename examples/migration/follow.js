// On a page of the app's own site, where somebody is signed in.
// region follow
let cursor = '';
let failures = 0;

function follow() {
  const address = '/api/stream?channel=project:abc123&cursor=' + encodeURIComponent(cursor);
  const eventSource = new EventSource(address);
  eventSource.onmessage = (event) => {
    cursor = event.lastEventId || cursor;
    failures = 0;
    const data = JSON.parse(event.data);
    if (data.type === 'closed') eventSource.close(); // for good: data.detail says why
    else if (data.type !== 'heartbeat') handleMessage(data);
  };
  eventSource.onerror = () => {
    if (eventSource.readyState !== EventSource.CLOSED) return; // it comes back by itself
    failures += 1;
    const wait = Math.min(1000 * 2 ** failures, 30000) * (0.5 + Math.random());
    setTimeout(follow, wait);
  };
}

follow();
// endregion

// region named
const named = new EventSource('/api/stream?channel=project:abc123&named=1');
named.addEventListener('project.updated', (event) => handleUpdate(JSON.parse(event.data)));
// endregion
