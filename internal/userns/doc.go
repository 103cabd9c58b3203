// Package userns makes user namespaces for tasks, each with IDs of the machine that no other has: whoever is root in one is
// nobody outside of it.
package userns
