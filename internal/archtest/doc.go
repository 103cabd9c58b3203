// Package archtest holds the rules of this repository that a compiler does not know, as tests over its source: who may
// import whom, where goroutines begin, what a library never does. Each rule has its reason beside it, and each exception
// too; an exception that nothing needs any more fails.
//
// The package has no code but tests. They read the files of every platform and need neither network nor root.
package archtest
