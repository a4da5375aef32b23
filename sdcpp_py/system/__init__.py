"""The machine and its operating system: CPU, RAM, cgroups, the GPU's watchdog, files that appear whole."""
