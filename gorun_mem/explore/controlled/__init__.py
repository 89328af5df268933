"""trio under the schedule: any trio program, a test without a World too, in every order.

versions     which trio releases are known
seam         where a search takes hold of trio
host         tasks of trio as Ms
clock        time, deadlines, cancellation from outside
awaits       the operations of tasks; `naming` has what they are called
engine       the engine that goes with the host
unwinding    the end of a run whose tasks have not ended
"""
