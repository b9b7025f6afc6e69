"""The estimate: what a plan will cost in time, disk and parameters, from rates measured on this machine."""
