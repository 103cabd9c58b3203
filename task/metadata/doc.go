// Package metadata is the ECS task metadata endpoint: what the containers of a task read at 169.254.170.2 about
// themselves, in versions 4, 3 and 2, with task scale-in protection and fault injection below /api. It is an
// [http.Handler] over a [Source]; it listens nowhere, starts nothing and keeps nothing but request rates.
//
//	h := metadata.NewHandler(metadata.Config{Source: engine, Protector: cluster, Faults: fabric})
//	l, err := fabric.Listen(ctx, vpcID, netip.AddrPortFrom(network.CredentialsAddr(), 80))
//	if err != nil {
//		return err
//	}
//	err = (&http.Server{Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}).Serve(l)
//
//	env := metadata.Environment(metadata.ContainerEnvironment{TaskID: id, ContainerName: "app",
//		LaunchType: task.LaunchTypeFargate, Region: "eu-central-1"}) // how the container finds it
//
// # Who is asking
//
// The caller is the task whose network interface has the request's source address (RemoteAddr), so the listener must
// be one where that address cannot be forged: one per VPC, bound inside its router. Addresses are unique in one VPC
// only, hence one handler and one Source for each. Headers such as X-Forwarded-For are not looked at. A task that asks
// with the endpoint ID, or the container ID, of another task gets the answer to an ID that does not exist.
//
// # What it serves
//
//	/v4/<id>, /v3/<id>                           the container whose endpoint ID it is
//	/v4/<id>/task, …/taskWithTags                its task
//	/v4/<id>/stats, …/task/stats                 use of the container, of each container of the task
//	/v4/<id>/associations/<type>[/<name>]        devices
//	/v2/metadata[/<container>], /v2/metadataWithTags, /v2/stats[/<container>]
//	/api/<id>/task-protection/v1/state           GET and PUT
//	/api/<id>/fault/v1/<type>/{start,stop,status} POST
//
// The endpoint of credentials, at /v1/credentials and /v2/credentials/, is not here: a host that serves both sends
// those two paths to it and all others here.
//
// # Errors
//
// Metadata and stats answer errors with a JSON string, in the words of the agent of ECS, which clients match: version 4
// with 404 and 500, version 3 with 500 and 400, version 2 with 400. Protection answers {"error": …} or
// {"failure": …}, faults {"Error": …}. Too many requests are 429 in plain text. What goes wrong in a Source is logged
// and not told to the task.
//
// # Caveats
//
// Ports lists single ports; a containerPortRange has no form in these documents and is left out. Tasks that share the
// host's network have no address of their own and cannot be served.
package metadata
