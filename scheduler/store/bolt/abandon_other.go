//go:build !unix

package bolt

import "os"

// abandon closes a file that bbolt cannot close any more, which frees its lock.
func abandon(file *os.File) error { return file.Close() }
