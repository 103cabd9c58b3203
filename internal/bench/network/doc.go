// Command network measures the Linux fabric in namespaces of its own: what one more ENI costs beside 10 and beside 1000
// with 500 rules, a change of the rules of a group with 1000 members, what 1000 ENIs take and how long all of it takes to
// remove; throughput and requests a second between two tasks, beside two namespaces on a bridge without any rules; and
// the CNI bridge plugin for the same attach, if it is installed.
//
//	go run ./internal/bench/network    # as root; it needs iproute2
package main
