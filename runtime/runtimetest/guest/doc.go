// Package guest is the program that the suite in runtime/runtimetest runs in containers. It is written once, against
// [Process], and runs in two places: as a static executable in a real container, see [Main], and as a Go function in a
// driver that has no kernel, such as runtime/fake.
//
// Each argument is one statement, a verb and what follows it:
//
//	guest "out hello" "catch TERM 7" "hang"
//
// The verbs:
//
//	out TEXT          write a line to stdout            err TEXT    write a line to stderr
//	args              write the arguments, one a line   env KEY     write a variable, or "unset"
//	dir               write the working directory       flood N     write N bytes in lines of 64 to stdout
//	cat               copy stdin to stdout              exit N      end with code N
//	hang              wait for a signal                 sleep D     wait for a duration such as 100ms
//	ignore SIGNAL     from now on                       catch SIGNAL N  write "caught SIGNAL" and end with N
//	size              write the terminal's columns and rows, or "none"
//	resized           wait until the terminal's size changes, then write it
//	alloc MIB         take memory and touch it          spin        use a processor until the end
//
// and those of [Process.Kernel], which ask the kernel that only a real container has:
//
//	id  hostname  pid  pids  caps  nofile  read PATH  write PATH  mkdir PATH  link PATH  spawn STATEMENT  exists PATH
//	tell NAME  await NAME  stat PATH (mode uid gid)  fill PATH MIB  disk PATH  fork N  remove PATH  symlink TARGET PATH  rename FROM TO
//
// await waits until another container of the task, in the same network namespace, has told that name; what is told stays
// told until the container that told it ends.
//
// A statement that fails writes "VERB: error" to stdout and the program goes on; an unknown one ends it with code 64.
package guest
