package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// definition is a Fargate task of one container, of the smallest size, with the log driver that most have. The stopTimeout is Fargate's least: sleep is the
// first process of its PID namespace, where it does not notice SIGTERM.
const definition = `{
	"family": "launch-%[2]s", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
	"executionRoleArn": "arn:aws:iam::123456789012:role/launch",
	"containerDefinitions": [{
		"name": "app", "image": %[1]q, "command": ["/bin/%[2]s"%[3]s], "stopTimeout": 2,
		"logConfiguration": {"logDriver": "awslogs", "options":
			{"awslogs-region": "us-east-1", "awslogs-group": "launch", "awslogs-stream-prefix": "app"}}
	}]
}`

// nobody is a name server for the tasks, which ask none: an address for documentation. The machine's own may be in a
// folder that a run hides.
var nobody = netip.AddrFrom4([4]byte{192, 0, 2, 53})

// cluster is a cluster with the image in it.
type cluster struct {
	*local.Cluster
	dir     string
	phases  *recording
	yes     *task.TaskDefinition // runs true
	sleeper *task.TaskDefinition
}

func openCluster(ctx context.Context, w *workshop, dir string) (*cluster, error) {
	if _, err := w.find("runc"); err != nil {
		return nil, err
	}
	log := newRecorder(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opened, err := local.Open(ctx, local.Config{Dir: dir, DNS: []netip.Addr{nobody}, Logger: slog.New(log)})
	if err != nil {
		return nil, err
	}
	c := &cluster{Cluster: opened, dir: dir, phases: log.recording}
	if err := c.prepare(ctx, w); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *cluster) prepare(ctx context.Context, w *workshop) error {
	archive, err := os.Open(w.image)
	if err != nil {
		return err
	}
	defer archive.Close()
	if _, err := c.ImportImage(ctx, "", archive); err != nil {
		return err
	}
	if c.yes, err = decode("true", ""); err != nil {
		return err
	}
	c.sleeper, err = decode("sleep", `, "1000000"`)
	return err
}

func decode(applet, arguments string) (*task.TaskDefinition, error) {
	return task.DecodeDefinition(strings.NewReader(fmt.Sprintf(definition, imageRef, applet, arguments)))
}

// close stops what runs and waits until it is released.
func (c *cluster) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), oneLaunch)
	defer cancel()
	return c.Purge(ctx)
}

func (c *cluster) launchTrue(ctx context.Context) (launched, error) {
	l := launched{at: time.Now()}
	run, err := c.Run(ctx, c.yes, scheduler.RunOptions{})
	if err != nil {
		return l, err
	}
	l.ran, l.arn = time.Since(l.at), run.ARN()
	if _, err := run.WaitRunning(ctx); err != nil {
		return l, err
	}
	l.running = time.Since(l.at)
	t, err := run.Wait(ctx)
	l.stopped = time.Since(l.at)
	if err != nil {
		return l, err
	}
	if code := t.Containers[0].ExitCode; code == nil || *code != 0 {
		return l, fmt.Errorf("%s did not run true: %s; %s", l.arn, t.StoppedReason, t.Containers[0].Reason)
	}
	return l, nil
}

// fardel is the contestant.
type fardel struct {
	*cluster
	launches []launched
}

func openFardel(ctx context.Context, w *workshop) (contestant, error) {
	c, err := openCluster(ctx, w, clusterDirs(w.dir)[0])
	if err != nil {
		return nil, err
	}
	return &fardel{cluster: c}, nil
}

func (f *fardel) rows() []row {
	return []row{
		{"fardel, to RUNNING", "a Fargate task: image, address, security groups, size, seccomp"},
		{"fardel, to STOPPED", "until all of it is released"},
	}
}

func (f *fardel) launch(ctx context.Context) (series, error) {
	l, err := f.launchTrue(ctx)
	if err != nil {
		return nil, err
	}
	f.launches = append(f.launches, l)
	return series{l.running, l.stopped}, nil
}
