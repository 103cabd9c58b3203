package task

// Step is a piece of work that carries a task from one status to the next.
// Steps are idempotent by contract: one that was cut short is done again.
type Step uint8

// The steps of a task's life in order.
const (
	None        Step = iota // nothing to do
	Provision               // make the network interface and the sandbox
	Accept                  // take the resources to run on
	Activate                // set up and start the containers
	Deactivate              // take the task out of targets and names
	Stop                    // stop the containers
	Deprovision             // release sandbox and network interface
)

var stepNames = [...]string{"none", "provision", "accept", "activate", "deactivate", "stop", "deprovision"}

// String returns the step's name in lower case.
func (s Step) String() string { return enumName(stepNames[:], int(s), "Step") }

// During returns the status a task shows while the step is worked on, or the
// zero Status for None. It matters where Next skips: a task that is stopped
// while RUNNING is DEACTIVATING during the Deactivate that Next asks for.
func (s Step) During() Status {
	for status, m := range path {
		if m.step == s && s != None {
			return Status(status)
		}
	}
	return 0
}

// path is the life of a task: in which status which step is done, and where it
// leads. Statuses without a step are where a task rests.
var path = [Deleted + 1]struct {
	step Step
	to   Status
}{
	Provisioning:   {Provision, Pending},
	Pending:        {Accept, Activating},
	Activating:     {Activate, Running},
	Deactivating:   {Deactivate, Stopping},
	Stopping:       {Stop, Deprovisioning},
	Deprovisioning: {Deprovision, Stopped},
}

// Next returns the step that carries a task from last towards desired, and the
// status it has when the step is done. It returns None and last when the task
// is there, or beyond, or when either is not a Status.
//
// The desired status of a task is Running or Stopped. Any other is as good, but
// one on the way down may be passed by.
//
// A task that is to stop goes through Deactivate, Stop and Deprovision in that
// order however far it got: a task cut off half-way through its Provision may
// own a part of everything, so release has one path and each of its steps copes
// with finding nothing.
func Next(last, desired Status) (Step, Status) {
	if last == 0 || last >= desired || desired > Deleted {
		return None, last
	}
	from := last
	if desired >= Deactivating && last < Deactivating {
		from = Deactivating
	}
	m := path[from]
	if m.step == None {
		return None, last
	}
	return m.step, m.to
}
