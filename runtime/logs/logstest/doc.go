// Package logstest is a log router for tests: it takes what awsfirelens sends, and shares no code with it.
//
//	records := make(chan logstest.Record, 100)
//	err := logstest.Serve(conn, func(r logstest.Record) { records <- r })
package logstest
