package audit

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// Sink takes the records of decisions. It must not block: whoever is waiting for the decision waits for it. It is called
// by many at once.
type Sink interface {
	Record(r Record)
}

// Record is one decision, as JSON an event of CloudTrail.
type Record struct {
	EventVersion        string              `json:"eventVersion"`
	UserIdentity        UserIdentity        `json:"userIdentity"`
	EventTime           time.Time           `json:"eventTime"`
	EventSource         string              `json:"eventSource"` // ecs.amazonaws.com
	EventName           string              `json:"eventName"`   // RunTask
	AWSRegion           string              `json:"awsRegion"`
	SourceIPAddress     string              `json:"sourceIPAddress"`
	UserAgent           string              `json:"userAgent,omitempty"`
	ErrorCode           string              `json:"errorCode,omitempty"` // AccessDenied, "" when it was allowed
	ErrorMessage        string              `json:"errorMessage,omitempty"`
	RequestParameters   map[string][]string `json:"requestParameters"` // the condition keys
	ResponseElements    map[string]string   `json:"responseElements"`  // null: a decision makes nothing
	AdditionalEventData Decision            `json:"additionalEventData"`
	EventID             string              `json:"eventID"`
	ReadOnly            bool                `json:"readOnly"`
	Resources           []Resource          `json:"resources,omitempty"` // none for an action on no resource
	EventType           string              `json:"eventType"`
	ManagementEvent     bool                `json:"managementEvent"`
	RecipientAccountID  string              `json:"recipientAccountId,omitempty"`
	EventCategory       string              `json:"eventCategory"`
}

// UserIdentity is who asked.
type UserIdentity struct {
	Type           string          `json:"type"` // Root, IAMUser, AssumedRole, Role, FederatedUser, AWSService, WebIdentityUser, AWSAccount
	PrincipalID    string          `json:"principalId,omitempty"`
	ARN            string          `json:"arn,omitempty"`
	AccountID      string          `json:"accountId,omitempty"`
	AccessKeyID    string          `json:"accessKeyId,omitempty"`
	UserName       string          `json:"userName,omitempty"`
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
	InvokedBy      string          `json:"invokedBy,omitempty"`
}

// SessionContext is what an assumed role's session comes from.
type SessionContext struct {
	SessionIssuer struct {
		Type        string `json:"type"`
		PrincipalID string `json:"principalId,omitempty"`
		ARN         string `json:"arn"`
		AccountID   string `json:"accountId"`
		UserName    string `json:"userName"`
	} `json:"sessionIssuer"`
	Attributes struct {
		CreationDate     string `json:"creationDate,omitempty"`
		MFAAuthenticated string `json:"mfaAuthenticated"`
	} `json:"attributes"`
	SourceIdentity string `json:"sourceIdentity,omitempty"`
}

// Resource is what the action was on.
type Resource struct {
	ARN       string `json:"ARN"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"` // AWS::ECS::Task, for resources of ECS and IAM
}

// Decision is what decided.
type Decision struct {
	Action    string `json:"action,omitempty"`  // as it was asked for
	Outcome   string `json:"outcome,omitempty"` // Allowed, ImplicitlyDenied, ExplicitlyDenied
	Layer     string `json:"layer,omitempty"`
	Level     int    `json:"level,omitempty"` // of the organization
	Policy    string `json:"policy,omitempty"`
	Statement *int   `json:"statement,omitempty"` // its index; nil when silence decided
	Sid       string `json:"sid,omitempty"`
	Dropped   uint64 `json:"dropped,omitempty"` // of a record that stands for others: how many a file could not take
}

const eventVersion = "1.11"

// New makes the record of a decision. region is where it was made. The record keeps the lists of values in the request's
// context, which must not be changed afterwards.
func New(c *policy.Caller, r *policy.Request, d policy.Decision, region string, now time.Time) Record {
	service, name, _ := strings.Cut(r.Action, ":")
	rec := Record{
		EventVersion: eventVersion, UserIdentity: identity(c, r), EventTime: now.UTC().Truncate(time.Second), EventSource: strings.ToLower(service) + ".amazonaws.com", EventName: name,
		AWSRegion: region, SourceIPAddress: first(r, "aws:SourceIp"), UserAgent: first(r, "aws:UserAgent"), RequestParameters: map[string][]string{},
		EventID: newID(), ReadOnly: readOnly(name), EventType: "AwsApiCall", ManagementEvent: true, EventCategory: "Management",
		RecipientAccountID: c.Principal.Account,
	}
	if rec.SourceIPAddress == "" {
		rec.SourceIPAddress = "AWS Internal" // CloudTrail's word for a call that came over no network
	}
	if requested := first(r, "aws:RequestedRegion"); requested != "" {
		rec.AWSRegion = requested
	}
	for key, values := range r.Context.All {
		rec.RequestParameters[key] = values
	}
	if r.Resource != "*" && r.Resource != "" {
		resource := Resource{ARN: r.Resource, AccountID: r.ResourceAccount, Type: resourceType(r.Resource)}
		if parts := strings.SplitN(r.Resource, ":", 6); resource.AccountID == "" && len(parts) == 6 {
			resource.AccountID = parts[4]
		}
		if resource.AccountID != "" {
			rec.RecipientAccountID = resource.AccountID
		}
		rec.Resources = []Resource{resource}
	}
	if !d.Allowed() {
		rec.ErrorCode, rec.ErrorMessage = "AccessDenied", d.Message(r)
	}
	rec.AdditionalEventData = Decision{Action: r.Action, Outcome: d.Outcome.String(), Layer: d.Layer.String(), Level: d.Level}
	if st, ok := d.Statement(); ok {
		rec.AdditionalEventData.Policy, rec.AdditionalEventData.Statement, rec.AdditionalEventData.Sid = st.Policy.Name(), &st.Index, st.Sid
	}
	return rec
}

// Request makes the request again that was decided, to be asked of other policies.
func (r *Record) Request() (*policy.Request, error) {
	name := r.UserIdentity.ARN
	if r.UserIdentity.Type == "AWSService" {
		name = r.UserIdentity.InvokedBy
	}
	resource, account := "*", ""
	if len(r.Resources) > 0 {
		resource, account = r.Resources[0].ARN, r.Resources[0].AccountID
	}
	req, err := policy.NewRequest(name, r.AdditionalEventData.Action, resource, r.RequestParameters)
	if err != nil {
		return nil, err
	}
	req.ResourceAccount = account
	if s := r.UserIdentity.SessionContext; s != nil {
		req.Principal.IssuerARN = s.SessionIssuer.ARN
	}
	return req, nil
}

// first is the only value of a condition key, "" when it has none or several.
func first(r *policy.Request, key string) string {
	if values := r.Context.Values(key); len(values) == 1 {
		return values[0]
	}
	return ""
}

func identity(c *policy.Caller, r *policy.Request) UserIdentity {
	p := &c.Principal
	u := UserIdentity{PrincipalID: first(r, "aws:userid"), ARN: p.Name, AccountID: p.Account, AccessKeyID: c.AccessKeyID}
	last := p.Name[strings.LastIndexByte(p.Name, '/')+1:]
	switch p.Type {
	case policy.Root:
		u.Type = "Root"
	case policy.User:
		u.Type, u.UserName = "IAMUser", last
	case policy.Role:
		u.Type = "Role"
	case policy.RoleSession:
		u.Type, u.SessionContext = "AssumedRole", session(p, r)
	case policy.FederatedUser:
		u.Type = "FederatedUser"
	case policy.Service:
		u.Type, u.InvokedBy, u.ARN = "AWSService", p.Name, ""
	case policy.WebIdentity:
		u.Type = "WebIdentityUser"
	default:
		u.Type, u.AccountID = "AWSAccount", "ANONYMOUS_PRINCIPAL"
	}
	return u
}

func session(p *policy.Principal, r *policy.Request) *SessionContext {
	s := &SessionContext{SourceIdentity: first(r, "aws:SourceIdentity")}
	s.SessionIssuer.Type, s.SessionIssuer.ARN, s.SessionIssuer.AccountID = "Role", p.IssuerARN, p.Account
	s.SessionIssuer.UserName = p.IssuerARN[strings.LastIndexByte(p.IssuerARN, '/')+1:]
	s.SessionIssuer.PrincipalID, _, _ = strings.Cut(first(r, "aws:userid"), ":")
	s.Attributes.CreationDate = first(r, "aws:TokenIssueTime")
	s.Attributes.MFAAuthenticated = "false"
	if mfa := first(r, "aws:MultiFactorAuthPresent"); mfa != "" {
		s.Attributes.MFAAuthenticated = mfa
	}
	return s
}

var readers = []string{"Get", "List", "Describe", "BatchGet", "Head", "Read", "Search", "Lookup", "Select", "Query", "Scan", "Check", "View"}

// readOnly goes by the names that AWS's services give actions that change nothing.
func readOnly(name string) bool {
	for _, prefix := range readers {
		if rest, ok := strings.CutPrefix(name, prefix); ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
			return true
		}
	}
	return false
}

var resourceTypes = map[string]string{
	"ecs:task": "AWS::ECS::Task", "ecs:task-definition": "AWS::ECS::TaskDefinition", "ecs:cluster": "AWS::ECS::Cluster",
	"ecs:service": "AWS::ECS::Service", "ecs:container-instance": "AWS::ECS::ContainerInstance",
	"iam:role": "AWS::IAM::Role", "iam:user": "AWS::IAM::User", "iam:policy": "AWS::IAM::Policy",
}

func resourceType(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return ""
	}
	kind, _, _ := strings.Cut(parts[5], "/")
	return resourceTypes[parts[2]+":"+kind]
}

// newID returns a UUID of chance.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
