"""A moto server that answers one request after another.

moto's own server has a thread for each, and Parameter Store there looks first and writes then: of two creates of one
name at once both may succeed, which the service rules out.
"""

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


def main():
    run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)


if __name__ == "__main__":
    main()
