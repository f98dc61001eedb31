// On a page of the app's own site, where somebody is signed in.
// region follow
const eventSource = new EventSource('/api/stream?channel=project:abc123');
eventSource.onmessage = (event) => {
  const data = JSON.parse(event.data);
  if (data.type !== 'heartbeat') handleMessage(data);
};
// endregion

// region named
const named = new EventSource('/api/stream?channel=project:abc123&named=1');
named.addEventListener('project.updated', (event) => handleUpdate(JSON.parse(event.data)));
// endregion
