"""The official Python SDK against one platform: the triggers of a function.

Arguments: endpoint (host:port), secret id, secret key, name of an event function. Prints "ok" when every step held.
"""

import json
import sys
import time

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models, scf_client

endpoint, secret_id, secret_key, function = sys.argv[1:]
WAIT_S = 60
http = HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=330)
client = scf_client.ScfClient(credential.Credential(secret_id, secret_key), "local", ClientProfile(httpProfile=http))


def call(action, **params):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps({"FunctionName": function, **params}))
    return getattr(client, action)(request)


def refused(action, want, **params):
    try:
        call(action, **params)
    except TencentCloudSDKException as error:
        assert error.code == want, (error.code, error.message)
        return
    raise AssertionError(f"{action} {params} was not refused")


timer = {"TriggerName": "tick", "Type": "timer"}
made = call("CreateTrigger", **timer, TriggerDesc="*/1 * * * * * *", Enable="OPEN", CustomArgument="hi",
            Description="each second", Qualifier="$DEFAULT").TriggerInfo
assert (made.TriggerName, made.Type, made.Enable, made.Qualifier) == ("tick", "timer", 1, "$DEFAULT"), made
assert json.loads(made.TriggerDesc) == {"cron": "*/1 * * * * * *"} and made.CustomArgument == "hi", made
assert made.AvailableStatus == "Available" and made.AddTime and made.ModTime

deadline = time.monotonic() + WAIT_S
while True:
    events = call("ListAsyncEvents", InvokeType=["TRIGGER_TIMER"], Status=["FINISHED"]).EventList
    if len(events) >= 2:
        break
    assert time.monotonic() < deadline, "the timer makes no events"
    time.sleep(0.1)
assert {event.Qualifier for event in events} == {"$DEFAULT"}, events

timer["Qualifier"] = "$DEFAULT"
call("UpdateTriggerStatus", **timer, Enable="CLOSE")
refused("UpdateTriggerStatus", "FailedOperation.UpdateTriggerStatus", **timer, Enable="CLOSE")
call("UpdateTrigger", **timer, TriggerDesc='{"cron": "0 9 * * MON", "zone": "+01:00"}', Description="weekly")
listed = call("ListTriggers", OrderBy="add_time", Order="ASC", Filters=[{"Name": "TriggerName", "Values": ["tick"]}])
assert listed.TotalCount == 1 and listed.Triggers[0].Enable == 0, listed
assert json.loads(listed.Triggers[0].TriggerDesc) == {"cron": "0 9 * * MON", "zone": "+01:00"}, listed
assert listed.Triggers[0].Description == "weekly" and listed.Triggers[0].CustomArgument == "hi", listed

refused("CreateTrigger", "ResourceInUse.TriggerName", **timer, TriggerDesc="* * * * *")
refused("CreateTrigger", "InvalidParameterValue.TriggerDesc", TriggerName="x", Type="timer", TriggerDesc="0 0 30 2 *")
refused("CreateTrigger", "UnsupportedOperation.Trigger", TriggerName="x", Type="ckafka", TriggerDesc="{}")
call("DeleteTrigger", **timer)
refused("DeleteTrigger", "ResourceNotFound.Trigger", **timer)
assert call("ListTriggers").TotalCount == 0
print("ok")
