package local

import "path/filepath"

// Owner is the mark of what a cluster in dir makes.
func Owner(dir string) string { return Config{Dir: filepath.Clean(dir)}.owner() }
