package sts

import (
	"slices"
	"strconv"
	"strings"
)

// Tag is a tag of a role, a user or a session. Keys that differ only in case are the same key.
type Tag struct {
	Key   string // 1 to 128 letters, digits, spaces and _.:/=+-@; not beginning with aws:
	Value string // up to 256 of them
}

func (t Tag) sameKey(o Tag) bool { return strings.EqualFold(t.Key, o.Key) }

// checkTags holds tags to IAM's rules.
func checkTags(tags []Tag) error {
	if len(tags) > maxTags {
		return violates("["+strconv.Itoa(len(tags))+" tags]", "tags", "have length less than or equal to "+strconv.Itoa(maxTags))
	}
	for i, t := range tags {
		at := "tags." + strconv.Itoa(i+1) + ".member."
		if err := length(t.Key, at+"key", 1, maxTagKey); err != nil {
			return err
		}
		if err := length(t.Value, at+"value", 0, maxTagValue); err != nil {
			return err
		}
		if !tagText(t.Key) {
			return violates(t.Key, at+"key", `satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+`)
		}
		if !tagText(t.Value) {
			return violates(t.Value, at+"value", `satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*`)
		}
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return fail(codeInvalidInput, "Tag keys beginning with aws: are reserved for AWS use: %s", t.Key)
		}
		if slices.ContainsFunc(tags[:i], t.sameKey) {
			return fail(codeInvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
	}
	return nil
}

// sessionTags are the tags that a session has: those asked for, and those that the caller's session hands on.
func sessionTags(in *AssumeRoleInput, caller *Identity) (tags []Tag, transitive []string, err error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, nil, err
	}
	for _, key := range in.TransitiveTagKeys {
		if !slices.ContainsFunc(in.Tags, Tag{Key: key}.sameKey) {
			return nil, nil, fail(codeInvalidValue, "The specified transitive tag key must be included in the requested tags.")
		}
	}
	tags, transitive = slices.Clone(in.Tags), slices.Clone(in.TransitiveTagKeys)
	for _, key := range caller.transitive {
		i := slices.IndexFunc(caller.SessionTags, Tag{Key: key}.sameKey)
		if i < 0 {
			continue
		}
		if slices.ContainsFunc(in.Tags, Tag{Key: key}.sameKey) {
			return nil, nil, fail(codeInvalidValue, "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		tags, transitive = append(tags, caller.SessionTags[i]), append(transitive, key)
	}
	if len(tags) > maxTags {
		return nil, nil, fail(codePacked, "Packed size of session tags consumes %d%% of allotted space.", len(tags)*100/maxTags)
	}
	return tags, transitive, nil
}

// merged returns the tags of a principal: its own, and in their place those of its session.
func merged(own, session []Tag) []Tag {
	all := slices.Clone(session)
	for _, t := range own {
		if !slices.ContainsFunc(session, t.sameKey) {
			all = append(all, t)
		}
	}
	return all
}
