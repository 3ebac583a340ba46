"""A process with xllamacpp on its path: it serves MODEL as NAME, with WINDOW tokens a request, until stdin ends."""

import sys

import xllamacpp

model, name, window = sys.argv[1:]
parameters = xllamacpp.CommonParams()
parameters.model.path = model
parameters.model_alias = {name}
parameters.n_ctx = int(window)
parameters.n_parallel = 1
parameters.hostnames = ["127.0.0.1"]
parameters.port = 0
parameters.use_jinja = True
parameters.warmup = False
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()
