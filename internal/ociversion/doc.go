// Package ociversion knows which releases of OCI runtimes have published ways out of containers, and looks at what a machine
// has. It is kept by hand: a release after the last advisory in its table counts as good.
package ociversion
