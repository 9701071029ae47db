"""The official Python SDK against one platform: versions and aliases of an event function, from
publishing to deletion.

Arguments: endpoint (host:port), secret id, secret key, image, second image. Prints "ok" when every step held.
"""

import json
import sys
import time

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models, scf_client

endpoint, secret_id, secret_key, image, second_image = sys.argv[1:]
WAIT_S = 60
NAME = "sdk-versions"
profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=330))
client = scf_client.ScfClient(credential.Credential(secret_id, secret_key), "local", profile)


def call(action, **params):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps({"FunctionName": NAME, **params}))
    return getattr(client, action)(request)


def refused(action, want, **params):
    try:
        call(action, **params)
    except TencentCloudSDKException as error:
        assert error.code == want, (action, error.code, error.message)
        return
    raise AssertionError(f"{action} {params} was not refused")


def wait_active(**params):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = call("GetFunction", **params)
        if found.Status == "Active":
            return found
        assert not found.Status.endswith("Failed"), found.StatusReasons
        time.sleep(0.05)
    raise AssertionError(f"{params} is not active after {WAIT_S} s")


def publish(description):
    made = call("PublishVersion", Description=description)
    assert (made.Description, made.Namespace, made.Runtime) == (description, "default", "CustomImage"), made
    wait_active(Qualifier=made.FunctionVersion)
    return made.FunctionVersion


def code(uri):
    return {"ImageConfig": {"ImageType": "personal", "ImageUri": uri}}


def ran(action="Invoke", **params):
    """Calls the function and returns the version that ran, from the run's log record."""
    result = call(action, **params).Result
    assert result.InvokeResult == 0, result.ErrMsg
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        for version in ("$LATEST", "1", "2"):
            logs = call("GetFunctionLogs", FunctionRequestId=result.FunctionRequestId, Qualifier=version)
            if logs.TotalCount == 1:
                return version
        time.sleep(0.05)
    raise AssertionError(f"no record of {result.FunctionRequestId}")


call("CreateFunction", MemorySize=128, Timeout=10, Code=code(image))
wait_active()
assert publish("first") == "1"
call("UpdateFunctionCode", Code=code(second_image))
wait_active()
call("UpdateFunctionConfiguration", MemorySize=256)
wait_active()
assert publish("second") == "2"
one, two = call("GetFunction", Qualifier="1"), call("GetFunction", Qualifier="2")
assert image in one.ImageConfig.ImageUri and second_image in two.ImageConfig.ImageUri, one.ImageConfig.ImageUri
assert (one.MemorySize, two.MemorySize, one.Description) == (128, 256, "first")
assert ran(Qualifier="1") == "1" and ran(Qualifier="2") == "2" and ran() == "$LATEST"

listed = call("ListVersionByFunction", Order="ASC", OrderBy="AddTime")
assert listed.FunctionVersion == ["$LATEST", "1", "2"] and listed.TotalCount == 3, listed.to_json_string()
assert [v.Status for v in listed.Versions] == ["Active"] * 3, listed.to_json_string()
assert call("ListVersionByFunction", Offset=1, Limit=1, Order="ASC").FunctionVersion == ["1"]

call("CreateAlias", Name="prod", FunctionVersion="1", Description="of users")
refused("CreateAlias", "ResourceInUse.Alias", Name="prod", FunctionVersion="1")
refused("CreateAlias", "ResourceNotFound.FunctionVersion", Name="other", FunctionVersion="9")
weights = {"AdditionalVersionWeights": [{"Version": "2", "Weight": 0.25}]}
call("UpdateAlias", Name="prod", FunctionVersion="1", RoutingConfig=weights)
alias = call("GetAlias", Name="prod")
weight = alias.RoutingConfig.AdditionalVersionWeights[0]
assert (alias.FunctionVersion, weight.Version, weight.Weight) == ("1", "2", 0.25), alias.to_json_string()
assert alias.RoutingConfig.AddtionVersionMatchs == [] and alias.Description == "of users", alias.to_json_string()
rule = {"Version": "2", "Key": "invoke.headers.User", "Method": "exact", "Expression": "ann"}
refused("UpdateAlias", "InvalidParameter.RoutingConfig", Name="prod", FunctionVersion="1",
        RoutingConfig={**weights, "AddtionVersionMatchs": [rule]})
call("UpdateAlias", Name="prod", FunctionVersion="1", RoutingConfig={"AddtionVersionMatchs": [rule]})
assert ran(Qualifier="prod") == "1"
assert ran(Qualifier="prod", RoutingKey=json.dumps({"invoke.headers.User": "ann"})) == "2"
refused("Invoke", "InvalidParameterValue.Param", Qualifier="prod", RoutingKey="[]")
names = [a.Name for a in call("ListAliases", Offset="0", Limit="20").Aliases]
assert names == ["$DEFAULT", "prod"], names
assert call("ListAliases", FunctionVersion="2").TotalCount == 1

# $DEFAULT can be moved to another version, and InvokeFunction calls it; it cannot be deleted.
call("UpdateAlias", Name="$DEFAULT", FunctionVersion="1")
assert ran("InvokeFunction") == "1"
refused("DeleteAlias", "InvalidParameterValue.Alias", Name="$DEFAULT")

refused("DeleteFunctionVersion", "UnsupportedOperation.AliasBind", Qualifier="2")
call("DeleteAlias", Name="prod")
refused("GetAlias", "ResourceNotFound.Alias", Name="prod")
call("DeleteFunctionVersion", Qualifier="2", ForceDelete="true")
refused("Invoke", "ResourceNotFound.Qualifier", Qualifier="2")
call("UpdateFunctionConfiguration", MemorySize=128, Publish="TRUE")
wait_active()
assert wait_active(Qualifier="3").MemorySize == 128, "numbers are not used again"
call("DeleteFunction")
deadline = time.monotonic() + WAIT_S
while call("ListFunctions").TotalCount:
    assert time.monotonic() < deadline, "the function is not gone"
    time.sleep(0.05)
print("ok")
