// Package fake is a [runtime.Driver] whose containers are Go functions. Programs that embed this library test with it
// what they do with tasks, without root, without containers, and, as it has no clock and no chance of its own, with the
// same outcome each time under testing/synctest.
//
//	driver := fake.New(fake.Config{Images: map[string]fake.Image{
//		"app:1": {Main: func(ctx context.Context, p *fake.Process) int {
//			fmt.Fprintln(p.Stdout, "hello from", p.Getenv("NAME"))
//			<-ctx.Done()
//			return 0
//		}},
//	}})
//	defer driver.Machine().Close()
//
// A [Machine] is what survives the driver: its containers go on when the host program "dies" with [Machine.Crash], and
// a new driver over the same machine finds them. Logs are in memory and read through [runtime.LogReader].
//
// What it simulates: images and their configuration, the life of containers, signals and their default actions, exec,
// logs, terminals, memory limits for what a program takes with [Process.Alloc], CPU quotas for what it spends with
// [Process.Spend]. What it does not: file systems, mounts, namespaces, capabilities and users; the specs with all of
// that are in [Process.Container] and [Process.Sandbox] for a program or test to look at.
//
// It has no errors of its own; those of the methods are those that [runtime.Driver] promises. Config.Fail adds more.
package fake
