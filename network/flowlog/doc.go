// Package flowlog is the flow log of a VPC: records of which flows the network let through and which it did not, in the
// format of AWS's versions 2 to 5, their aggregation, and files to write them to.
//
//	format, err := flowlog.ParseFormat("${version} ${interface-id} ${srcaddr} ${dstaddr} ${action}") // or flowlog.DefaultFormat()
//	agg := flowlog.NewAggregator(flowlog.Config{Interval: time.Minute})
//	agg.Watch(flowlog.Interface{ID: "eni-…", AccountID: "123456789012"}, now)
//	agg.Add(flowlog.Observation{Interface: "eni-…", Flow: flow, Packets: 1, Bytes: 60, Start: now, End: now})
//	for _, r := range agg.Flush(later) {
//		fmt.Println(format.Line(r))
//	}
//
// [Log] says whose traffic a log is about, as CreateFlowLogs does. [Ignored] is what AWS leaves out of every log.
//
// Nothing here looks at packets: who does tells an [Aggregator]. It takes the time as an argument and starts nothing;
// [File] alone does I/O.
package flowlog
