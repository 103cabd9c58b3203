package logs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/task"
)

// Where a log router finds what is made for it, inside of its container.
const (
	RouterSocketDir  = "/var/run" // is shared; the socket is RouterSocketName in it
	RouterSocketName = "fluent.sock"

	fluentBitConfig = "/fluent-bit/etc/fluent-bit.conf"
	fluentdConfig   = "/fluentd/etc/fluent.conf"
	externalConfig  = "external.conf" // beside it
)

// bufferLimitOption is the log driver's, not the router's. What it bounds is the runtime's spool here.
const bufferLimitOption = "log-driver-buffer-limit"

// RouterConfig is what the ECS agent configures a task's log router with.
type RouterConfig struct {
	Type     task.FirelensType // required
	Memory   task.MiB          // of the router's container, of which Fluent Bit's input may take half; 0 is none given
	Include  string            // path of a further file in the container, config-file-value; "" is none
	Metadata bool              // enable-ecs-log-metadata: the next three are added to every record

	Cluster, TaskARN, TaskDefinition string

	// Outputs are the options of the containers that log through the router, by container.
	Outputs map[string]map[string]string
}

// Path is where the router reads its configuration.
func (c RouterConfig) Path() string {
	if c.Type == task.FirelensFluentd {
		return fluentdConfig
	}
	return fluentBitConfig
}

// ExternalPath is where the router finds a further file that the agent has for it (config-file-type s3), as Include.
func (c RouterConfig) ExternalPath() string { return path.Join(path.Dir(c.Path()), externalConfig) }

// Text returns the configuration, with the sections in the order of the agent's. It fails for options that need an output
// plugin and name none, in the agent's words.
func (c RouterConfig) Text() (string, error) {
	var text section
	text.fluentd = c.Type == task.FirelensFluentd
	c.inputs(&text)
	outputs, err := c.filters(&text)
	if err != nil {
		return "", err
	}
	if c.Include != "" {
		text.include(c.Include)
	}
	for _, o := range outputs {
		text.output(o.plugin, o.match, o.options)
	}
	return text.b.String(), nil
}

func (c RouterConfig) inputs(text *section) {
	const socket = RouterSocketDir + "/" + RouterSocketName
	if text.fluentd {
		text.input("unix", "", map[string]string{"path": socket})
		text.input("forward", "", map[string]string{"bind": "127.0.0.1", "port": "24224"})
		return
	}
	buffer := c.Memory / 2
	if buffer <= 0 {
		buffer = 25 // the agent's, where the container has no memory of its own
	}
	text.input("forward", "", map[string]string{"unix_path": socket, "Mem_Buf_Limit": fmt.Sprintf("%dMB", buffer)})
	text.input("forward", "", map[string]string{"Listen": "127.0.0.1", "Port": "24224"})
	text.input("tcp", healthTag, map[string]string{"Listen": "127.0.0.1", "Port": "8877"})
}

// healthTag is of what a health check of the router's container sends to it. It goes nowhere.
const healthTag = "firelens-healthcheck"

// output is a section that says where records go.
type output struct {
	plugin, match string
	options       map[string]string
}

// filters writes the filters and returns the outputs.
func (c RouterConfig) filters(text *section) ([]output, error) {
	var outputs []output
	if !text.fluentd {
		outputs = append(outputs, output{plugin: "null", match: healthTag})
	}
	containers := slices.Sorted(maps.Keys(c.Outputs))
	for _, pattern := range []string{"include-pattern", "exclude-pattern"} {
		for _, name := range containers {
			if value := c.Outputs[name][pattern]; value != "" {
				text.grep(text.match(name), pattern == "include-pattern", value)
			}
		}
	}
	if c.Metadata {
		text.record(map[string]string{
			"ecs_cluster": c.Cluster, "ecs_task_arn": c.TaskARN, "ecs_task_definition": c.TaskDefinition,
		})
	}
	for _, name := range containers {
		options := maps.Clone(c.Outputs[name])
		key := text.pluginKey()
		plugin := options[key]
		for _, own := range []string{key, "include-pattern", "exclude-pattern", bufferLimitOption, "mode", "max-buffer-size"} {
			delete(options, own)
		}
		for k, v := range options {
			if strings.ContainsAny(k+v, "\n\r") {
				return nil, fmt.Errorf("option %q of container %s has a line break", k, name)
			}
		}
		switch {
		case plugin != "":
			outputs = append(outputs, output{plugin, text.match(name), options})
		case len(options) > 0:
			return nil, fmt.Errorf("unable to apply log options of container %s to firelens config: missing output key %s which is required for firelens configuration of type %s",
				name, key, c.Type)
		}
	}
	return outputs, nil
}

// section writes sections in the language of one of the routers.
type section struct {
	b       strings.Builder
	fluentd bool
}

func (s *section) pluginKey() string {
	if s.fluentd {
		return "@type"
	}
	return "Name"
}

// match selects the records of a container.
func (s *section) match(container string) string {
	if s.fluentd {
		return container + "-firelens**"
	}
	return container + "-firelens*"
}

func (s *section) lines(indent string, options map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(options)) {
		fmt.Fprintf(&s.b, "%s%s %s\n", indent, k, options[k])
	}
}

func (s *section) input(plugin, tag string, options map[string]string) {
	if s.fluentd {
		fmt.Fprintf(&s.b, "\n<source>\n    @type %s\n", plugin)
	} else {
		fmt.Fprintf(&s.b, "\n[INPUT]\n    Name %s\n", plugin)
	}
	if tag != "" {
		fmt.Fprintf(&s.b, "    Tag %s\n", tag)
	}
	s.lines("    ", options)
	if s.fluentd {
		s.b.WriteString("</source>\n")
	}
}

// grep keeps the records whose log matches a pattern, or those whose does not.
func (s *section) grep(match string, include bool, pattern string) {
	verb := map[bool]string{true: "Regex", false: "Exclude"}[include]
	tag := map[bool]string{true: "regexp", false: "exclude"}[include]
	if s.fluentd {
		fmt.Fprintf(&s.b, "\n<filter %s>\n    @type grep\n    <%s>\n        key log\n        pattern %s\n    </%s>\n</filter>\n", match, tag, pattern, tag)
		return
	}
	fmt.Fprintf(&s.b, "\n[FILTER]\n    Name grep\n    Match %s\n    %s log %s\n", match, verb, pattern)
}

// record adds fields to every record.
func (s *section) record(fields map[string]string) {
	if s.fluentd {
		s.b.WriteString("\n<filter **>\n    @type record_transformer\n    <record>\n")
		s.lines("        ", fields)
		s.b.WriteString("    </record>\n</filter>\n")
		return
	}
	s.b.WriteString("\n[FILTER]\n    Name record_modifier\n    Match *\n")
	s.lines("    Record ", fields)
}

func (s *section) include(path string) {
	verb := "@INCLUDE"
	if s.fluentd {
		verb = "@include"
	}
	fmt.Fprintf(&s.b, "\n%s %s\n", verb, path)
}

func (s *section) output(plugin, match string, options map[string]string) {
	if s.fluentd {
		fmt.Fprintf(&s.b, "\n<match %s>\n    @type %s\n", match, plugin)
		s.lines("    ", options)
		s.b.WriteString("</match>\n")
		return
	}
	fmt.Fprintf(&s.b, "\n[OUTPUT]\n    Name %s\n    Match %s\n", plugin, match)
	s.lines("    ", options)
}
