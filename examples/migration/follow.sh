# Follow a project; REALTIME_URL and REALTIME_API_KEY say where.
# region follow
curl -N "$REALTIME_URL/api/stream?channel=project:abc123" \
  -H "Authorization: Bearer $REALTIME_API_KEY"
# endregion
