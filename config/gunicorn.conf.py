"""How gunicorn serves the API. `secure-api run` reads this file; flags go over it."""

import os

# Threads share one in-process rate limit and key cache. More than one worker needs Redis and PostgreSQL.
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = 8
timeout = 30
graceful_timeout = 10
keepalive = 5

# A request line and headers larger than this are refused before the application sees them.
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190

# The audit stream is the access log; gunicorn's own messages go to standard error.
accesslog = None
errorlog = "-"
loglevel = "warning"
proc_name = "secure-api"
control_socket_disable = True
