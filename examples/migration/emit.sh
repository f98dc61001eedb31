# Emit an event; REALTIME_URL and REALTIME_API_KEY say where.
# region emit
curl "$REALTIME_URL/api/events" \
  -H "Authorization: Bearer $REALTIME_API_KEY" \
  -H 'Content-Type: application/json' \
  -d '{"type": "project.updated", "payload": {"projectId": "abc123", "changes": {"status": "completed"}}}'
# endregion
