"""Weight files: the only place that touches them.

card      what a network needs to be used rightly
folder    card.json + safetensors <-> networks
convert   files of the upstream release -> folders
ensemble  several folders under one name
untrained networks with drawn values, for demonstrations and tests only
zoo       known releases: verified download and installation
"""
