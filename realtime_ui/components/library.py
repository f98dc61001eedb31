"""The React components of this package, as files that Reflex links into an app's build."""

import reflex as rx

import realtime_ui.states.client_vars  # noqa: F401  (links the JavaScript that all of them import)

STYLES = rx.asset("realtime.css", shared=True)
MONITOR_STYLES = rx.asset("monitor.css", shared=True)
CHARTS = rx.asset("charts.jsx", shared=True)
AGO = rx.asset("ago.js", shared=True)
ISOLATED = rx.asset("isolated.js", shared=True)
CLAMPED = rx.asset("clamped.jsx", shared=True)
HELD_PLACE = rx.asset("held_place.jsx", shared=True)
SUBSCRIPTION = rx.asset("subscription.jsx", shared=True).importable_path
SENTENCES = rx.asset("sentences.js", shared=True)
LIVE_FEED = rx.asset("live_feed.jsx", shared=True).importable_path
CURRENT_FIELDS = rx.asset("current_fields.jsx", shared=True).importable_path
CHANNEL_TITLE = rx.asset("channel_title.jsx", shared=True).importable_path
CHANNEL_LIST = rx.asset("channel_list.jsx", shared=True).importable_path
CONNECTION_BANNER = rx.asset("connection_banner.jsx", shared=True).importable_path
FIRST_EVENT = rx.asset("first_event.jsx", shared=True).importable_path
CONNECTIONS = rx.asset("connections.jsx", shared=True).importable_path
OUTBOX_STYLES = rx.asset("outbox.css", shared=True)
rx.asset("pending.jsx", shared=True)
MESSAGE_FORM = rx.asset("message_form.jsx", shared=True).importable_path
UNSENT = rx.asset("unsent.jsx", shared=True).importable_path
FORM_ANSWER = rx.asset("form_answer.jsx", shared=True).importable_path
HEALTH = rx.asset("health.jsx", shared=True).importable_path
PRESENCE = rx.asset("presence.jsx", shared=True).importable_path
ROSTER = rx.asset("roster.jsx", shared=True).importable_path
