// Package flowlog is the flow log of a VPC: records of which flows the network let through and which it did not, in the
// format of AWS's versions 2 to 5, their aggregation, and files to write them to.
//
//	file, err := flowlog.OpenFile(flowlog.FileConfig{Path: "/var/log/myapp/flow.log"})
//	collector, err := flowlog.NewCollector(flowlog.CollectorConfig{Counter: fabric, State: state, Sink: file,
//		Logs: []flowlog.Log{{ID: "fl-…", ResourceID: "vpc-…"}}})
//	err = collector.Run(ctx) // blocks
//
// [Log] says whose traffic a log is about, as CreateFlowLogs does. [Ignored] is what AWS leaves out of every log.
//
// Packets are counted by the fabric, in the kernel: a [network.FlowCounter] says what came to a VPC's router and what passed
// it, and [Observe] who let it pass or did not. So a record's times are those of the counts, every ten seconds by default,
// and a flow that was refused costs no more than any other one.
//
// # What is not seen
//
// Packets that never come to the router's rules: with a forged source address, to addresses that no route leads to, and
// what tasks and the machine's own endpoints say to each other, which AWS leaves out, too. What passes while no collector
// runs. There are no records of the network interfaces of gateways.
package flowlog
