"""Allocator policies: what the free list would answer if it searched another way.

A policy is one class that keeps the free blocks and says which serves. `layer` puts it in the place
of Go's free list, under the same OS layer and the same break. `POLICIES` has those that come along,
by the names of their files; one's own derives from `Policy` and is reached as FILE.py:Class, or as
a class wherever a policy is asked for: `World(policy=MyPolicy)`, `@scenario(policy=...)`,
`--policy`.
"""

from gorun_mem.policies.base import AddressOrdered, Policy
from gorun_mem.policies.layer import PolicyError, PolicyFreeList, policy_parts, policy_release
from gorun_mem.policies.load import (
    OWN,
    POLICIES,
    MakePolicy,
    UnknownPolicy,
    load_policy,
    policy_name,
    size_of,
    spread_policies,
)

__all__ = [
    "OWN",
    "POLICIES",
    "AddressOrdered",
    "MakePolicy",
    "Policy",
    "PolicyError",
    "PolicyFreeList",
    "UnknownPolicy",
    "load_policy",
    "policy_name",
    "policy_parts",
    "policy_release",
    "size_of",
    "spread_policies",
]
